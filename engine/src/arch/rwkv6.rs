//! `rwkv6`: RWKV 6 (Finch). As the seventh, but how much of the row before comes in depends on the row, and matrices fade and
//! are added to only.

use super::{Arch, Recurrence, Wkv, rwkv7};

pub(super) const ARCH: Arch = Arch { name: "rwkv6", recurrence: Some(Recurrence::Wkv(Wkv::Sixth)), ..rwkv7::ARCH };
