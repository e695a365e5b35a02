//! `plamo2`: PLaMo 2. State spaces in most layers, whose values tell the rest; in the others every query and key head is normed
//! with weights of its own. Norms before and after both parts.

use super::{Arch, HeadNorm, NormKind, Norms, Recurrence};

pub(super) const ARCH: Arch = Arch {
    name: "plamo2",
    norms: Norms::AROUND,
    head_norm: HeadNorm::Own(NormKind::Rms),
    recurrence: Some(Recurrence::ToldScan),
    ..Arch::PLAIN
};
