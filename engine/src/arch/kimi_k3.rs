//! `kimi-k3`: Moonshot's Kimi K3. As Kimi Linear, but the delta nets' factors have a bound, latent attention is gated, experts run
//! on fewer channels than the stream has, and the stream is begun anew every so many layers: each part reads a mixture of
//! those that were kept.

use super::{Arch, Gating, HeadGates, Narrow, Recurrence, Routing};

pub(super) const ARCH: Arch = Arch {
    name: "kimi-k3",
    situ: true,
    latent: true,
    recurrence: Some(Recurrence::ChannelDelta),
    gated_heads: HeadGates::Apart,
    experts: Some(Routing { always: true, dense_width: false, gating: Gating::Sigmoid, normalize: false }),
    one_shared: true,
    narrow_experts: Some(Narrow {
        key: "expert_latent_length",
        down: "ffn_routed_down",
        norm: Some("ffn_routed_norm"),
        up: "ffn_routed_up",
    }),
    keeps_streams: true,
    unturned: true,
    needs: &["attention.head_count_kv", "expert_gating_func", "attn_res.block_size"],
    ..Arch::PLAIN
};
