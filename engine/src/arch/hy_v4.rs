//! `hy_v4`: Tencent's Hy 4. Latent attention with a gate for each channel and sinks, in some models with an indexer whose choice
//! some layers take from an earlier one; several residual streams, of which each part reads a mixture; dense layers first,
//! then experts of which one takes every row.

use super::{Arch, Bounded, Gating, HeadGates, Indexed, Routing, Sinks};
use hewn_kernels::op::rope::Pairing;

pub(super) const ARCH: Arch = Arch {
    name: "hy_v4",
    pairing: Pairing::Neighbours,
    latent: true,
    indexed: Some(Indexed {
        pairing: Pairing::Neighbours,
        turned_last: true,
        stream_eps: true,
        may_lack: true,
        ..Indexed::PLAIN
    }),
    gated_heads: HeadGates::Apart,
    sinks: Sinks::Always,
    bounded: Some(Bounded::Before),
    experts: Some(Routing { always: true, dense_width: false, gating: Gating::Sigmoid, normalize: false }),
    streams: true,
    needs: &["expert_gating_func", "expert_shared_count", "attention.q_lora_rank"],
    ..Arch::PLAIN
};
