//! `nemotron_h_moe`: Nemotron 3 Nano. The feed-forward parts of `nemotron_h` are mixtures of experts without gates, and one
//! that takes every row.

use super::{Arch, Gating, Routing, nemotron_h};

pub(super) const ARCH: Arch = Arch {
    name: "nemotron_h_moe",
    experts: Some(Routing { always: true, dense_width: true, gating: Gating::Sigmoid, normalize: false }),
    ..nemotron_h::ARCH
};
