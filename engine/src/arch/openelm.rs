//! `openelm`: Apple's OpenELM. Every query and key head is normed, and the layers differ in their heads and widths.

use super::{Arch, HeadNorm};

pub(super) const ARCH: Arch = Arch { name: "openelm", head_norm: HeadNorm::Each, varied: true, ..Arch::PLAIN };
