//! `gpt-oss`: OpenAI's open-weight mixtures of experts. A window in every other layer, a sink in each head's softmax, biases
//! throughout, and a gate of its own kind.

use super::{Arch, Gating, Norms, Routing, Sinks};
use hewn_kernels::op::activation::Activation;

pub(super) const ARCH: Arch = Arch {
    name: "gpt-oss",
    qkv_bias: true,
    norms: Norms { before_ff: Some("post_attention_norm"), ..Norms::BEFORE },
    sinks: Sinks::Always,
    activation: Activation::Clamped,
    full_every: Some(2),
    experts: Some(Routing { always: true, dense_width: false, gating: Gating::SoftmaxOfChosen, normalize: false }),
    ..Arch::PLAIN
};
