//! `hunyuan_vl`: the text half of Hunyuan OCR. As `hunyuan-dense`, where all coordinates of a position are the same, with a
//! rotary base that files say in two parts.

use super::{Arch, hunyuan_dense};

pub(super) const ARCH: Arch = Arch { name: "hunyuan_vl", coordinates: true, rope_alpha: true, ..hunyuan_dense::ARCH };
