//! `qwen2moe`: Qwen 1.5 and 2 mixtures of experts. The weights of the chosen experts are not made to sum to 1; a shared
//! expert takes every row and has a gate of its own.

use super::{Arch, Gating, Routing};

pub(super) const ARCH: Arch = Arch {
    name: "qwen2moe",
    qkv_bias: true,
    experts: Some(Routing { always: true, dense_width: false, gating: Gating::Softmax, normalize: false }),
    ..Arch::PLAIN
};
