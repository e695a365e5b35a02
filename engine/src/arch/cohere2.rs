//! `cohere2`: Command R7B and Command A. As `command-r`; three layers with a window for each that sees everything, and the
//! latter do not turn queries and keys.

use super::{Arch, NormKind, Norms, Parallel};
use hewn_kernels::op::rope::Pairing;

pub(super) const ARCH: Arch = Arch {
    name: "cohere2",
    pairing: Pairing::Neighbours,
    norm: NormKind::Layer,
    norms: Norms { before_ff: None, ..Norms::BEFORE },
    parallel: Parallel::Always,
    full_every: Some(4),
    unturned_full: true,
    ..Arch::PLAIN
};
