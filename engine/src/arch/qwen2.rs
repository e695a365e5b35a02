//! `qwen2`: Qwen 1.5, 2 and 2.5 and DeepSeek-R1-Distill-Qwen. Biases on query, key and value.

use super::Arch;

pub(super) const ARCH: Arch = Arch { name: "qwen2", qkv_bias: true, ..Arch::PLAIN };
