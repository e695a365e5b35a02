//! `maple`: DeepGrove's Maple. Every query and key head is normed; layers without a window do not turn queries and keys. All
//! layers have experts, whose activation is bounded.

use super::{Arch, Bounded, Gating, HeadNorm, LocalRope, Routing};

pub(super) const ARCH: Arch = Arch {
    name: "maple",
    head_norm: HeadNorm::Each,
    bounded: Some(Bounded::Before),
    experts: Some(Routing { always: true, dense_width: false, gating: Gating::Softmax, normalize: true }),
    unturned_full: true,
    local_rope: Some(LocalRope { base: None }),
    needs: &["attention.sliding_window", "attention.sliding_window_pattern", "swiglu_clamp_exp"],
    ..Arch::PLAIN
};
