//! `codeshell`: CodeShell 7B. Layer norms and projections with biases, no gate.

use super::{Arch, NormKind};
use hewn_kernels::op::activation::Activation;

pub(super) const ARCH: Arch =
    Arch { name: "codeshell", norm: NormKind::Layer, gated: false, activation: Activation::Gelu, ..Arch::PLAIN };
