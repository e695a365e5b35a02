//! `kimi-linear`: Moonshot's Kimi Linear. Delta nets whose keys fade channel by channel, multi-head latent attention without
//! positions in every fourth layer; a dense layer first, then experts of which one takes every row.

use super::{Arch, Gating, Recurrence, Routing};

pub(super) const ARCH: Arch = Arch {
    name: "kimi-linear",
    latent: true,
    recurrence: Some(Recurrence::ChannelDelta),
    experts: Some(Routing { always: true, dense_width: false, gating: Gating::Sigmoid, normalize: true }),
    one_shared: true,
    unturned: true,
    needs: &["attention.head_count_kv", "expert_gating_func"],
    // Its rates would be of another sign.
    refused: &["kda.gate_lower_bound"],
    ..Arch::PLAIN
};
