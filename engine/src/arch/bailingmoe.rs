//! `bailingmoe`: Ling Lite and Plus (first generation). Experts of which some take every row.

use super::{Arch, Gating, Routing};
use hewn_kernels::op::rope::Pairing;

pub(super) const ARCH: Arch = Arch {
    name: "bailingmoe",
    pairing: Pairing::Neighbours,
    experts: Some(Routing { always: true, dense_width: false, gating: Gating::Softmax, normalize: false }),
    ..Arch::PLAIN
};
