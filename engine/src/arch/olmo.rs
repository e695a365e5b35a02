//! `olmo`: the first OLMo. Layer norms without weights; in some models queries, keys and values are bounded.

use super::{Arch, NormKind};
use hewn_kernels::op::rope::Pairing;

pub(super) const ARCH: Arch =
    Arch { name: "olmo", pairing: Pairing::Neighbours, norm: NormKind::Layer, norms_unweighted: true, ..Arch::PLAIN };
