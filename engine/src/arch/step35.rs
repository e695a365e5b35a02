//! `step35`: StepFun's Step 3.5 and 3.7. Every query and key head is normed, each head's output is gated; layers with a window
//! have heads and rotary positions of their own, the others turn half of a head's channels. Dense layers first, then experts of
//! which one takes every row; of some layers the activation is bounded.

use super::{Arch, Bounded, Gating, HeadGates, HeadNorm, LocalRope, Routing};

pub(super) const ARCH: Arch = Arch {
    name: "step35",
    head_norm: HeadNorm::EachOrNone,
    gated_heads: HeadGates::OneEach,
    bounded: Some(Bounded::After),
    experts: Some(Routing { always: true, dense_width: false, gating: Gating::Sigmoid, normalize: false }),
    routers_tell: true,
    varied: true,
    local_rope: Some(LocalRope { base: Some(10000.0) }),
    half_turned: true,
    needs: &["attention.sliding_window", "attention.sliding_window_pattern", "expert_shared_feed_forward_length"],
    ..Arch::PLAIN
};
