//! `xverse`: XVERSE 7B to 65B.

use super::Arch;
use hewn_kernels::op::rope::Pairing;

pub(super) const ARCH: Arch = Arch { name: "xverse", pairing: Pairing::Neighbours, ..Arch::PLAIN };
