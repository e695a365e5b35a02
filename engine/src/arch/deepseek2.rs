//! `deepseek2`: DeepSeek-V2, V3 and R1. Multi-head latent attention; dense layers first, then experts of which some take
//! every row.

use super::{Arch, Gating, Routing};
use hewn_kernels::op::rope::Pairing;

pub(super) const ARCH: Arch = Arch {
    name: "deepseek2",
    pairing: Pairing::Neighbours,
    latent: true,
    experts: Some(Routing { always: true, dense_width: false, gating: Gating::Softmax, normalize: false }),
    ..Arch::PLAIN
};
