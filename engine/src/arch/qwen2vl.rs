//! `qwen2vl`: the text half of Qwen 2 VL and 2.5 VL. As `qwen2`, where all coordinates of a position are the same.

use super::{Arch, qwen2};

pub(super) const ARCH: Arch = Arch { name: "qwen2vl", coordinates: true, ..qwen2::ARCH };
