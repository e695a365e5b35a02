//! `rwkv7`: RWKV 7 (Goose). No attention: each layer keeps a matrix a head, which learns as the text goes on, and the row before;
//! so does its feed-forward part.

use super::{Arch, NormKind, Norms, Recurrence, Wkv};
use hewn_kernels::op::activation::Activation;

pub(super) const ARCH: Arch = Arch {
    name: "rwkv7",
    norm: NormKind::Layer,
    norms: Norms { before_ff: Some("attn_norm_2"), ..Norms::BEFORE },
    activation: Activation::ReluSquared,
    embed_norm: true,
    recurrence: Some(Recurrence::Wkv(Wkv::Seventh)),
    recurrent_only: true,
    channel_mix: true,
    ..Arch::PLAIN
};
