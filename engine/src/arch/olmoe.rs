//! `olmoe`: OLMoE. Queries and keys are normed across all heads; the weights of the chosen experts are not made to sum to 1.

use super::{Arch, Gating, HeadNorm, Routing};

pub(super) const ARCH: Arch = Arch {
    name: "olmoe",
    head_norm: HeadNorm::Whole,
    experts: Some(Routing { always: true, dense_width: true, gating: Gating::Softmax, normalize: false }),
    ..Arch::PLAIN
};
