//! `qwen3vl`: the text half of the dense Qwen 3 VL models. As `qwen3`, where all coordinates of a position are the same.

use super::{Arch, qwen3};

pub(super) const ARCH: Arch = Arch { name: "qwen3vl", coordinates: true, ..qwen3::ARCH };
