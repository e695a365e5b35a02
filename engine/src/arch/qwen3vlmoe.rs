//! `qwen3vlmoe`: the text half of the Qwen 3 VL mixtures of experts. As `qwen3moe`, where all coordinates of a position are
//! the same.

use super::{Arch, qwen3moe};

pub(super) const ARCH: Arch = Arch { name: "qwen3vlmoe", coordinates: true, ..qwen3moe::ARCH };
