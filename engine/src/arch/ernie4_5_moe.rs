//! `ernie4_5-moe`: ERNIE 4.5 mixtures of experts. Dense layers first, then experts of which some take every row; a bias counts
//! for the choice alone.

use super::{Arch, Gating, Routing};
use hewn_kernels::op::rope::Pairing;

pub(super) const ARCH: Arch = Arch {
    name: "ernie4_5-moe",
    pairing: Pairing::Neighbours,
    experts: Some(Routing { always: true, dense_width: false, gating: Gating::Softmax, normalize: true }),
    ..Arch::PLAIN
};
