//! `deepseek4`: DeepSeek V4. Four residual streams that layers mix (hyper-connections); one key for all heads, which is the
//! value, too; every layer sees the last positions, and most see entries besides that stand for 4 or 128 positions each, of
//! the former those that an indexer chooses; an output matrix of low rank; experts, which in the first layers the token
//! tells.

use super::{Arch, Bounded, Gating, Indexed, Routing, Sinks};
use hewn_kernels::op::rope::Pairing;

pub(super) const ARCH: Arch = Arch {
    name: "deepseek4",
    pairing: Pairing::Neighbours,
    pooled: true,
    hyper: true,
    indexed: Some(Indexed { pairing: Pairing::Neighbours, ..Indexed::PLAIN }),
    sinks: Sinks::Always,
    bounded: Some(Bounded::Before),
    hashed_experts: true,
    experts: Some(Routing { always: true, dense_width: false, gating: Gating::SqrtSoftplus, normalize: false }),
    needs: &[
        "attention.sliding_window",
        "attention.compress_ratios",
        "attention.key_length",
        "rope.dimension_count",
        "expert_gating_func",
        "expert_weights_norm",
        "expert_weights_scale",
        "swiglu_clamp_exp",
    ],
    ..Arch::PLAIN
};
