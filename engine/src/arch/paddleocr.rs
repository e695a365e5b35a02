//! `paddleocr`: the text half of PaddleOCR VL. As `ernie4_5`, where all coordinates of a position are the same, with pairs of the
//! two halves of a head.

use super::{Arch, ernie4_5};
use hewn_kernels::op::rope::Pairing;

pub(super) const ARCH: Arch = Arch { name: "paddleocr", pairing: Pairing::Halves, coordinates: true, ..ernie4_5::ARCH };
