//! `smollm3`: SmolLM 3. As `llama`, but every fourth layer does not turn queries and keys.

use super::Arch;
use hewn_kernels::op::rope::Pairing;

pub(super) const ARCH: Arch =
    Arch { name: "smollm3", pairing: Pairing::Neighbours, unturned_every: Some(4), ..Arch::PLAIN };
