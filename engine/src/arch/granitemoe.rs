//! `granitemoe`: Granite 3 mixtures of experts.

use super::{Arch, Gating, Routing};
use hewn_kernels::op::rope::Pairing;

pub(super) const ARCH: Arch = Arch {
    name: "granitemoe",
    pairing: Pairing::Neighbours,
    logits_divided: true,
    experts: Some(Routing { always: true, dense_width: true, gating: Gating::Softmax, normalize: true }),
    turned_said: true,
    ..Arch::PLAIN
};
