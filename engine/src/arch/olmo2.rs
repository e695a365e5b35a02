//! `olmo2`: OLMo 2. Norms after both parts and none before; queries and keys are normed across all heads.

use super::{Arch, HeadNorm, Norms};

pub(super) const ARCH: Arch = Arch {
    name: "olmo2",
    norms: Norms { before_attention: None, before_ff: None, ..Norms::AROUND },
    head_norm: HeadNorm::Whole,
    ..Arch::PLAIN
};
