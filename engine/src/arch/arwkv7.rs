//! `arwkv7`: ARWKV, Qwen 2.5 with RWKV 7's time mixing in the place of attention, with or without gates.

use super::{Arch, Recurrence, Wkv};

pub(super) const ARCH: Arch =
    Arch { name: "arwkv7", recurrence: Some(Recurrence::Wkv(Wkv::Seventh)), recurrent_only: true, ..Arch::PLAIN };
