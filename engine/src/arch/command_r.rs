//! `command-r`: Cohere's Command R and R+. Layer norms without biases, attention and feed-forward part side by side. Command
//! R+ norms each query and key head with weights of its own.

use super::{Arch, HeadNorm, NormKind, Norms, Parallel};
use hewn_kernels::op::rope::Pairing;

pub(super) const ARCH: Arch = Arch {
    name: "command-r",
    pairing: Pairing::Neighbours,
    norm: NormKind::Layer,
    norms: Norms { before_ff: None, ..Norms::BEFORE },
    head_norm: HeadNorm::Own(NormKind::Layer),
    parallel: Parallel::Always,
    ..Arch::PLAIN
};
