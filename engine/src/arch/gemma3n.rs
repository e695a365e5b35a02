//! `gemma3n`: as `gemma3` with four residual streams (AltUp), a low-rank part beside the attention (LAuReL), what every token
//! brings to each layer besides its embedding, first layers that keep a twentieth of their gates, values that are normed,
//! scores that are not scaled, and last layers that read the keys and values of earlier ones.

use super::{Arch, CutOff, HeadNorm, LocalRope, Norms};
use hewn_kernels::op::activation::Activation;

pub(super) const ARCH: Arch = Arch {
    name: "gemma3n",
    activation: Activation::Gelu,
    embed_by_width: true,
    norms: Norms::AROUND,
    head_norm: HeadNorm::Each,
    value_norm: true,
    varied: true,
    score_scale: Some(1.0),
    full_every: Some(5),
    local_rope: Some(LocalRope { base: Some(10000.0) }),
    logit_cap: Some(30.0),
    layer_inputs: true,
    altup: true,
    // Above which a twentieth of a normal distribution lies.
    cut_off: Some(CutOff { layers: 10, deviations: 1.644_853_5 }),
    needs: &["attention.sliding_window", "attention.shared_kv_layers", "embedding_length_per_layer_input"],
    ..Arch::PLAIN
};
