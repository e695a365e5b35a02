//! `nemotron_h`: NVIDIA's Nemotron-H and Nano 2. A layer is a state space, attention or a feed-forward part, which squares what
//! is above 0. Positions are not turned.

use super::{Arch, Norms, Recurrence, ScanLayout};
use hewn_kernels::op::activation::Activation;

pub(super) const ARCH: Arch = Arch {
    name: "nemotron_h",
    // Whatever a layer is, its norm has this name.
    norms: Norms { before_ff: Some("attn_norm"), ..Norms::BEFORE },
    gated: false,
    activation: Activation::ReluSquared,
    recurrence: Some(Recurrence::Scan(ScanLayout { beside_attention: false, normed: true })),
    single: true,
    either_epsilon: true,
    unturned_every: Some(1),
    turned_said: true,
    ..Arch::PLAIN
};
