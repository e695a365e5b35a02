//! `qwen3moe`: Qwen 3 mixtures of experts.

use super::{Arch, Gating, HeadNorm, Routing};

pub(super) const ARCH: Arch = Arch {
    name: "qwen3moe",
    head_norm: HeadNorm::Each,
    experts: Some(Routing { always: true, dense_width: false, gating: Gating::Softmax, normalize: true }),
    ..Arch::PLAIN
};
