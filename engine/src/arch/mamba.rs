//! `mamba`: the first Mamba and Falcon Mamba. State spaces and nothing else, so that a sequence takes the same memory however
//! long it is.

use super::{Arch, Recurrence};

pub(super) const ARCH: Arch = Arch {
    name: "mamba",
    recurrence: Some(Recurrence::Selective { weighed_norms: false }),
    recurrent_only: true,
    ..Arch::PLAIN
};
