//! `phi2`: Phi 1, 1.5 and 2. Layer norms and biases throughout, of the logits too, attention and feed-forward part side by side,
//! no gate; part of a head's channels is turned.

use super::{Arch, NormKind, Norms, Parallel};
use hewn_kernels::op::activation::Activation;

pub(super) const ARCH: Arch = Arch {
    name: "phi2",
    norm: NormKind::Layer,
    norms: Norms { before_ff: None, ..Norms::BEFORE },
    parallel: Parallel::Always,
    gated: false,
    activation: Activation::Gelu,
    ..Arch::PLAIN
};
