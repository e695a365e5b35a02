//! `hunyuan-dense`: the dense Hunyuan models. Every query and key head is normed after it is turned.

use super::{Arch, HeadNorm};

pub(super) const ARCH: Arch =
    Arch { name: "hunyuan-dense", head_norm: HeadNorm::Each, norm_turned: true, ..Arch::PLAIN };
