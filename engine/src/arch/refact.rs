//! `refact`: Refact 1.6B. As Llama with one head of keys, but nothing is turned: the further a position is, the less its score
//! counts.

use super::{Arch, Leaning};

pub(super) const ARCH: Arch = Arch { name: "refact", leaning: Leaning::Always(8.0), unturned: true, ..Arch::PLAIN };
