//! `exaone4`: EXAONE 4. Norms after both parts and none before, every query and key head is normed. The model of 32 billion
//! weights has three layers with a window for each that sees everything, and the latter do not turn queries and keys.

use super::{Arch, HeadNorm, Norms};

pub(super) const ARCH: Arch = Arch {
    name: "exaone4",
    norms: Norms { before_attention: None, before_ff: None, ..Norms::AROUND },
    head_norm: HeadNorm::Each,
    full_every: Some(4),
    unturned_full: true,
    ..Arch::PLAIN
};
