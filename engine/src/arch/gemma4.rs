//! `gemma4`: as `gemma3` with scores that are not scaled, values that are normed, a factor after each layer, and layers of
//! two sizes: those with a window have smaller heads. Full layers of the large models take their keys for values; in the
//! small models (E2B, E4B) the last layers read the keys and values of earlier ones, and every token brings each layer
//! something besides its embedding. The 26B-A4B has experts beside the dense part of each layer.

use super::{Arch, Gating, HeadNorm, LocalRope, Norms, Routing};
use hewn_kernels::op::activation::Activation;

pub(super) const ARCH: Arch = Arch {
    name: "gemma4",
    activation: Activation::Gelu,
    embed_by_width: true,
    norms: Norms::AROUND,
    head_norm: HeadNorm::Each,
    value_norm: true,
    keys_as_values: true,
    varied: true,
    score_scale: Some(1.0),
    local_rope: Some(LocalRope { base: None }),
    // They keep three quarters of a full layer's channels unturned.
    rope_divisors: true,
    layer_inputs: true,
    layer_factor: true,
    experts: Some(Routing { always: false, dense_width: false, gating: Gating::Softmax, normalize: true }),
    experts_beside: true,
    needs: &["attention.sliding_window", "attention.sliding_window_pattern"],
    ..Arch::PLAIN
};
