//! `bailingmoe3`: Ling 3. Delta nets whose keys fade channel by channel, by no more than a bound, and latent attention with a
//! gate for each head in some layers; dense layers first, then experts in groups, of which one takes every row.

use super::{Arch, Bounded, Gating, HeadGates, Recurrence, Routing};
use hewn_kernels::op::rope::Pairing;

pub(super) const ARCH: Arch = Arch {
    name: "bailingmoe3",
    pairing: Pairing::Neighbours,
    latent: true,
    recurrence: Some(Recurrence::ChannelDelta),
    gated_heads: HeadGates::OneEach,
    bounded: Some(Bounded::After),
    experts: Some(Routing { always: true, dense_width: false, gating: Gating::Sigmoid, normalize: false }),
    one_shared: true,
    needs: &["attention.head_count_kv", "expert_gating_func", "kda.gate_lower_bound"],
    ..Arch::PLAIN
};
