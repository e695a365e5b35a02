//! `mellum`: JetBrains' Mellum 2. As `qwen3moe` with three layers that have a window, and never a stretched context, for each
//! that sees everything.

use super::{Arch, LocalRope, qwen3moe};

pub(super) const ARCH: Arch =
    Arch { name: "mellum", full_every: Some(4), local_rope: Some(LocalRope { base: None }), ..qwen3moe::ARCH };
