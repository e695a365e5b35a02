//! `nanbeige`: Nanbeige 4.2. As `llama`; all layers run more than once, with keys and values of each round, and rounds are
//! parted by the stream's last norm.

use super::Arch;
use hewn_kernels::op::rope::Pairing;

pub(super) const ARCH: Arch = Arch { name: "nanbeige", pairing: Pairing::Neighbours, looped: true, ..Arch::PLAIN };
