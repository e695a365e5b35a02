//! `grovemoe`: Ant Group's GroveMoE. As `qwen3moe`; beside the experts that a row chose run smaller ones, one for each group of
//! neighbours.

use super::{Arch, qwen3moe};

pub(super) const ARCH: Arch = Arch { name: "grovemoe", adjugates: true, ..qwen3moe::ARCH };
