//! `qwen3`: the dense Qwen 3 models. Every query and key head is normed before it is turned.

use super::{Arch, HeadNorm, Scoring};

pub(super) const ARCH: Arch =
    Arch { name: "qwen3", head_norm: HeadNorm::Each, scoring: Some(Scoring::Softmax), ..Arch::PLAIN };
