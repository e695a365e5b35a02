//! `dots1`: dots.llm1. Every query and key head is normed; dense layers first, then experts of which some take every row.

use super::{Arch, Gating, HeadNorm, Routing};

pub(super) const ARCH: Arch = Arch {
    name: "dots1",
    head_norm: HeadNorm::Each,
    experts: Some(Routing { always: true, dense_width: false, gating: Gating::Sigmoid, normalize: false }),
    ..Arch::PLAIN
};
