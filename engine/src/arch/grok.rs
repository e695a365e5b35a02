//! `grok`: xAI's Grok 1 and 2. Norms before and after both parts, bounds of attention scores and of the router's; the weights of the
//! chosen experts are not made to sum to 1. Old files do not say the numbers. Grok 2 has a dense part beside the experts, and
//! bounded scores that grow with the position. Its authors do not stretch its positions (`rope_type` is `original`), of which
//! converters make YaRN.

use super::{Arch, Gating, Norms, Routing};
use hewn_kernels::op::activation::Activation;

pub(super) const ARCH: Arch = Arch {
    name: "grok",
    norms: Norms {
        after_attention: Some("attn_output_norm"),
        after_ff: Some("layer_output_norm"),
        after_ff_or: Some("post_ffw_norm"),
        ..Norms::BEFORE
    },
    activation: Activation::Gelu,
    experts: Some(Routing { always: true, dense_width: true, gating: Gating::Softmax, normalize: false }),
    router_cap: Some(30.0),
    score_scale: Some(0.088_388_35),
    score_cap: Some(30.0),
    embed_scale: Some(78.383_67),
    logit_scale: Some(0.577_350_26),
    heated: true,
    unstretched: true,
    dense_shared: true,
    shared_scale: std::f32::consts::FRAC_1_SQRT_2,
    ..Arch::PLAIN
};
