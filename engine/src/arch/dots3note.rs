//! `dots3note`: dots3-note, the text half. Latent attention with a gate for each head: layers with a window have heads, a latent and
//! rotary positions of their own, the others an indexer; the turned part of keys is normed. Dense layers first, then experts of
//! which some take every row.

use super::{Arch, Gating, HeadGates, Indexed, LocalRope, Routing};
use hewn_kernels::op::rope::Pairing;

pub(super) const ARCH: Arch = Arch {
    name: "dots3note",
    pairing: Pairing::Neighbours,
    latent: true,
    latent_key_norm: true,
    varied: true,
    indexed: Some(Indexed::PLAIN),
    gated_heads: HeadGates::OneEach,
    local_rope: Some(LocalRope { base: None }),
    experts: Some(Routing { always: true, dense_width: false, gating: Gating::Sigmoid, normalize: false }),
    needs: &[
        "expert_gating_func",
        "expert_shared_count",
        "attention.q_lora_rank",
        "attention.sliding_window",
        "attention.sliding_window_pattern",
        "rope.freq_base_swa",
    ],
    ..Arch::PLAIN
};
