//! `gemma3`: as `gemma2` with normed queries and keys instead of bounds; five layers with a window, and rotary positions of
//! their own, for each that sees everything.

use super::{Arch, HeadNorm, LocalRope, Norms};
use hewn_kernels::op::activation::Activation;

pub(super) const ARCH: Arch = Arch {
    name: "gemma3",
    activation: Activation::Gelu,
    embed_by_width: true,
    norms: Norms::AROUND,
    head_norm: HeadNorm::Each,
    full_every: Some(6),
    local_rope: Some(LocalRope { base: Some(10000.0) }),
    // The model of 27 billion weights.
    wide_scale_layers: Some(62),
    ..Arch::PLAIN
};
