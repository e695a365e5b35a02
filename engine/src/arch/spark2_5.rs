//! `spark2_5`: iFlytek's Spark X 2.5. One gate for each head, which the layer's input tells; layers with a window turn
//! another part of a head's channels.

use super::{Arch, HeadGates, LocalRope};
use hewn_kernels::op::activation::Activation;

pub(super) const ARCH: Arch = Arch {
    name: "spark2_5",
    activation: Activation::Gelu,
    gated_heads: HeadGates::OneEach,
    local_rope: Some(LocalRope { base: None }),
    needs: &["attention.sliding_window", "attention.sliding_window_pattern"],
    ..Arch::PLAIN
};
