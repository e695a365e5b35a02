//! `command-r`: Cohere's Command R. Layer norms without biases, attention and feed-forward part side by side. (Command R+
//! norms queries and keys, with weights of its own for each head, and is refused for them.)

use super::{Arch, NormKind, Norms};
use hewn_kernels::op::rope::Pairing;

pub(super) const ARCH: Arch = Arch {
    name: "command-r",
    pairing: Pairing::Neighbours,
    norm: NormKind::Layer,
    norms: Norms { before_ff: None, ..Norms::BEFORE },
    parallel: true,
    ..Arch::PLAIN
};
