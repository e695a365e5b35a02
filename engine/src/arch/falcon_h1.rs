//! `falcon-h1`: in every layer attention and a state space read the same input side by side. The model's many multipliers are
//! in the weights already.

use super::{Arch, Recurrence, ScanLayout};

pub(super) const ARCH: Arch = Arch {
    name: "falcon-h1",
    recurrence: Some(Recurrence::Scan(ScanLayout { beside_attention: true, normed: false })),
    ..Arch::PLAIN
};
