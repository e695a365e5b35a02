//! `phi3`: Phi 3, 3.5 and 4. Queries, keys and values in one tensor, gate and up in another; two sets of rotary divisors,
//! for short and for long contexts.

use super::Arch;

pub(super) const ARCH: Arch = Arch { name: "phi3", ..Arch::PLAIN };
