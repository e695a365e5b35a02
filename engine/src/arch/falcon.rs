//! `falcon`: Falcon 7B. Layer norms with biases, attention and feed-forward part side by side, no gate. (The larger models
//! have a second norm and are refused for it.)

use super::{Arch, NormKind, Norms};
use hewn_kernels::op::activation::Activation;

pub(super) const ARCH: Arch = Arch {
    name: "falcon",
    norm: NormKind::Layer,
    norms: Norms { before_ff: None, ..Norms::BEFORE },
    parallel: true,
    gated: false,
    activation: Activation::Gelu,
    ..Arch::PLAIN
};
