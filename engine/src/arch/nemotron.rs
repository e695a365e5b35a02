//! `nemotron`: NVIDIA's Nemotron 4 and Minitron. Layer norms with biases, half of a head's channels are turned, and the
//! feed-forward part, without a gate, squares what is above 0.

use super::{Arch, NormKind};
use hewn_kernels::op::activation::Activation;

pub(super) const ARCH: Arch =
    Arch { name: "nemotron", norm: NormKind::Layer, gated: false, activation: Activation::ReluSquared, ..Arch::PLAIN };
