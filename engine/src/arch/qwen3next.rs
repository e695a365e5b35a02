//! `qwen3next`: Qwen 3 Next. Three of four layers are gated delta nets; in the others each query head has a gate for its
//! output. Experts in all layers, of which one takes every row, with a gate of its own.

use super::{Arch, DeltaLayout, Gating, HeadGates, HeadNorm, Norms, Recurrence, Routing};

pub(super) const ARCH: Arch = Arch {
    name: "qwen3next",
    norms: Norms { before_ff: Some("post_attention_norm"), ..Norms::BEFORE },
    head_norm: HeadNorm::Each,
    gated_heads: HeadGates::WithQueries,
    recurrence: Some(Recurrence::Delta(DeltaLayout { interleaved: false, fused_gates: true })),
    experts: Some(Routing { always: true, dense_width: false, gating: Gating::Softmax, normalize: true }),
    ..Arch::PLAIN
};
