//! `gemma2`: as `gemma`, with norms after both parts too, bounded scores and logits, and a window in every other layer.

use super::{Arch, Norms};
use hewn_kernels::op::activation::Activation;

pub(super) const ARCH: Arch = Arch {
    name: "gemma2",
    activation: Activation::Gelu,
    embed_by_width: true,
    norms: Norms::AROUND,
    window: Some(4096),
    full_every: Some(2),
    // The model of 27 billion weights.
    wide_scale_layers: Some(46),
    score_cap: Some(50.0),
    logit_cap: Some(30.0),
    ..Arch::PLAIN
};
