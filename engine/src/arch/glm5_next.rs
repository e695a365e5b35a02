//! `glm5-next`: GLM 5.3 Flash. Four residual streams that layers mix, of which the mean is left in the end; delta nets whose keys
//! fade channel by channel, by no more than a bound where files say one, and latent attention without positions in some layers,
//! to the neighbours whose pooled keys an indexer chooses; dense layers first, then experts of which one takes every row.

use super::{Arch, Bounded, Gating, Indexed, Recurrence, Routing};

pub(super) const ARCH: Arch = Arch {
    name: "glm5-next",
    latent: true,
    unturned: true,
    indexed: Some(Indexed::PLAIN),
    indexes_pools: true,
    recurrence: Some(Recurrence::ChannelDelta),
    hyper: true,
    streams_even: true,
    bounded: Some(Bounded::Before),
    experts: Some(Routing { always: true, dense_width: false, gating: Gating::Sigmoid, normalize: false }),
    needs: &["attention.head_count_kv", "attention.q_lora_rank", "attention.key_length_mla"],
    ..Arch::PLAIN
};
