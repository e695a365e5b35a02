//! `olmo2`: OLMo 2 and 3. Norms after both parts and none before; queries and keys are normed across all heads. OLMo 3 has three
//! layers with a window, whose rotary positions are not stretched, for each that sees everything.

use super::{Arch, HeadNorm, LocalRope, Norms};

pub(super) const ARCH: Arch = Arch {
    name: "olmo2",
    norms: Norms { before_attention: None, before_ff: None, ..Norms::AROUND },
    head_norm: HeadNorm::Whole,
    full_every: Some(4),
    local_rope: Some(LocalRope { base: None }),
    ..Arch::PLAIN
};
