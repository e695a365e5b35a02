//! `rwkv6qwen2`: QRWKV 6, Qwen 2.5 with RWKV 6's time mixing around linear attention in the place of its own; heads share keys
//! and values.

use super::{Arch, Recurrence, Wkv};

pub(super) const ARCH: Arch =
    Arch { name: "rwkv6qwen2", recurrence: Some(Recurrence::Wkv(Wkv::Linear)), recurrent_only: true, ..Arch::PLAIN };
