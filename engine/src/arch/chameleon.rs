//! `chameleon`: Meta's Chameleon, the text half: tokens of images are never the next. Each head of queries and keys has a norm of
//! its own, with the mean taken off; in the 34B model the norms of the stream are behind both parts.

use super::{Arch, HeadNorm, NormKind};
use hewn_kernels::op::rope::Pairing;

pub(super) const ARCH: Arch = Arch {
    name: "chameleon",
    pairing: Pairing::Neighbours,
    head_norm: HeadNorm::Own(NormKind::Layer),
    head_eps: Some(1e-5),
    norms_behind: Some("swin_norm"),
    unspoken: Some(4..8196),
    ..Arch::PLAIN
};
