//! `maincoder`: Maincoder 1B. Every query and key head is normed once it is turned.

use super::{Arch, HeadNorm};
use hewn_kernels::op::rope::Pairing;

pub(super) const ARCH: Arch = Arch {
    name: "maincoder",
    pairing: Pairing::Neighbours,
    head_norm: HeadNorm::Each,
    norm_turned: true,
    ..Arch::PLAIN
};
