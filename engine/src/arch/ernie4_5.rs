//! `ernie4_5`: the dense ERNIE 4.5 models.

use super::Arch;
use hewn_kernels::op::rope::Pairing;

pub(super) const ARCH: Arch = Arch { name: "ernie4_5", pairing: Pairing::Neighbours, ..Arch::PLAIN };
