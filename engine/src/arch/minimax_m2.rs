//! `minimax-m2`: MiniMax M2. Queries and keys are normed across all heads, half of a head's channels are turned; a bias counts
//! for the choice of experts alone.

use super::{Arch, Gating, HeadNorm, Routing};

pub(super) const ARCH: Arch = Arch {
    name: "minimax-m2",
    head_norm: HeadNorm::Whole,
    experts: Some(Routing { always: true, dense_width: true, gating: Gating::Sigmoid, normalize: true }),
    ..Arch::PLAIN
};
