//! `falcon`: Falcon 7B, 40B and 180B. Layer norms with biases, attention and feed-forward part side by side, no gate. The
//! larger models have a norm for each of the two parts.

use super::{Arch, NormKind, Norms, Parallel};
use hewn_kernels::op::activation::Activation;

pub(super) const ARCH: Arch = Arch {
    name: "falcon",
    norm: NormKind::Layer,
    norms: Norms { before_ff: None, of_attention: Some("attn_norm_2"), ..Norms::BEFORE },
    parallel: Parallel::Always,
    gated: false,
    activation: Activation::Gelu,
    ..Arch::PLAIN
};
