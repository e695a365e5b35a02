//! `mamba2`: state spaces and nothing else, so that a sequence takes the same memory however long it is (Mamba 2, Codestral
//! Mamba).

use super::{Arch, Recurrence, ScanLayout};

pub(super) const ARCH: Arch = Arch {
    name: "mamba2",
    recurrence: Some(Recurrence::Scan(ScanLayout { beside_attention: false, normed: true })),
    single: true,
    recurrent_only: true,
    ..Arch::PLAIN
};
