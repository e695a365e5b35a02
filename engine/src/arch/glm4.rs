//! `glm4`: GLM 4 (0414). Norms before and after both parts; half of a head's channels are turned.

use super::{Arch, Norms};
use hewn_kernels::op::rope::Pairing;

pub(super) const ARCH: Arch = Arch { name: "glm4", pairing: Pairing::Neighbours, norms: Norms::AROUND, ..Arch::PLAIN };
