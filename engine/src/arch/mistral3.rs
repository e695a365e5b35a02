//! `mistral3`: Ministral 3 and what follows it. As `llama`; queries beyond the context of the pre-training are made longer,
//! as the file says.

use super::Arch;
use hewn_kernels::op::rope::Pairing;

pub(super) const ARCH: Arch = Arch { name: "mistral3", pairing: Pairing::Neighbours, ..Arch::PLAIN };
