//! `muse-glimmer`: the text half of Meta's Muse Glimmer. Norms before and after both parts and of the embedding, every query and
//! key head is normed, a gate for each channel of the attention's output; three layers with a window for each that sees
//! everything and does not turn queries and keys.

use super::{Arch, HeadGates, HeadNorm, Norms};
use hewn_kernels::op::rope::Pairing;

pub(super) const ARCH: Arch = Arch {
    name: "muse-glimmer",
    pairing: Pairing::Neighbours,
    norms: Norms::AROUND,
    embed_evened: true,
    after_eps: Some(1e-8),
    head_norm: HeadNorm::Each,
    gated_heads: HeadGates::Apart,
    full_every: Some(4),
    unturned_full: true,
    local_rope: Some(super::LocalRope { base: None }),
    needs: &["attention.sliding_window", "logit_scale"],
    ..Arch::PLAIN
};
