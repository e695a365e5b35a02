//! `nemotron_h_moe`: Nemotron 3 Nano and Super. The feed-forward parts of `nemotron_h` are mixtures of experts without gates, and
//! one that takes every row. Those of Super run on fewer channels than the stream has.

use super::{Arch, Gating, Narrow, Routing, nemotron_h};

pub(super) const ARCH: Arch = Arch {
    name: "nemotron_h_moe",
    experts: Some(Routing { always: true, dense_width: true, gating: Gating::Sigmoid, normalize: false }),
    narrow_experts: Some(Narrow { key: "moe_latent_size", down: "ffn_latent_down", norm: None, up: "ffn_latent_up" }),
    ..nemotron_h::ARCH
};
