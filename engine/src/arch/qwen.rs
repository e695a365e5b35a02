//! `qwen`: the first Qwen (1.8B to 72B). Queries, keys and values have biases; files say the width of gate and up together.

use super::Arch;

pub(super) const ARCH: Arch = Arch { name: "qwen", qkv_bias: true, ff_of_both: true, ..Arch::PLAIN };
