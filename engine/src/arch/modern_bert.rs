//! `modern-bert`: ModernBERT, gte-modernbert, granite-embedding-r2. Texts are read as a whole; norms before both parts, but for the
//! first layer's attention, a gated feed-forward part, and two layers with a window to both sides, and rotary positions of their
//! own, after each that sees everything.

use super::{Arch, LocalRope, NormKind, Scoring};
use hewn_kernels::op::activation::Activation;

pub(super) const ARCH: Arch = Arch {
    name: "modern-bert",
    encoder: true,
    norm: NormKind::Layer,
    first_unnormed: true,
    activation: Activation::GeluErf,
    activation_said: true,
    embed_norm: true,
    around: true,
    full_every: Some(3),
    full_first: true,
    local_rope: Some(LocalRope { base: None }),
    scoring: Some(Scoring::Gelu),
    ..Arch::PLAIN
};
