//! `starcoder`: SantaCoder and the first StarCoder. As `gpt2`, with one head of keys and values.

use super::{Arch, gpt2};

pub(super) const ARCH: Arch = Arch { name: "starcoder", ..gpt2::ARCH };
