//! `starcoder2`: StarCoder 2. Layer norms and projections with biases, no gate.

use super::{Arch, NormKind};
use hewn_kernels::op::activation::Activation;

pub(super) const ARCH: Arch =
    Arch { name: "starcoder2", norm: NormKind::Layer, gated: false, activation: Activation::Gelu, ..Arch::PLAIN };
