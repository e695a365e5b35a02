//! `qwen35`: the text half of the dense Qwen 3.5 and 3.6 models. Three of four layers are gated delta nets; in the others
//! each query head has a gate for its output, and a quarter of its channels are turned.

use super::{Arch, DeltaLayout, HeadGates, HeadNorm, Norms, Recurrence};

pub(super) const ARCH: Arch = Arch {
    name: "qwen35",
    norms: Norms { before_ff: Some("post_attention_norm"), ..Norms::BEFORE },
    head_norm: HeadNorm::Each,
    coordinates: true,
    gated_heads: HeadGates::WithQueries,
    recurrence: Some(Recurrence::Delta(DeltaLayout { interleaved: true, fused_gates: false })),
    ..Arch::PLAIN
};
