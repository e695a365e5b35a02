//! `internlm2`: InternLM 2 and 2.5.

use super::Arch;
use hewn_kernels::op::rope::Pairing;

pub(super) const ARCH: Arch = Arch { name: "internlm2", pairing: Pairing::Neighbours, ..Arch::PLAIN };
