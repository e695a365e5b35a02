//! `hunyuan-moe`: Hunyuan A13B. Every query and key head is normed after it is turned; a shared expert takes every row.

use super::{Arch, Gating, HeadNorm, Routing};

pub(super) const ARCH: Arch = Arch {
    name: "hunyuan-moe",
    head_norm: HeadNorm::Each,
    norm_turned: true,
    experts: Some(Routing { always: true, dense_width: true, gating: Gating::Softmax, normalize: true }),
    ..Arch::PLAIN
};
