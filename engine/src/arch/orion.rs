//! `orion`: Orion 14B. As Llama with layer norms, which have biases.

use super::{Arch, NormKind};

pub(super) const ARCH: Arch = Arch { name: "orion", norm: NormKind::Layer, ..Arch::PLAIN };
