//! `plamo3`: PLaMo 3. Norms before and after both parts, every query and key head is normed; some models have seven layers
//! with a window, whose rotary frequencies are their own, for each that sees everything.

use super::{Arch, HeadNorm, LocalRope, Norms};

pub(super) const ARCH: Arch = Arch {
    name: "plamo3",
    norms: Norms::AROUND,
    head_norm: HeadNorm::Each,
    full_every: Some(8),
    local_rope: Some(LocalRope { base: None }),
    ..Arch::PLAIN
};
