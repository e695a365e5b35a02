//! `apertus`: Apertus of ETH Zurich and EPFL. Every query and key head is normed; the feed-forward part has no gate and an
//! activation whose numbers each layer learnt.

use super::{Arch, HeadNorm};

pub(super) const ARCH: Arch =
    Arch { name: "apertus", head_norm: HeadNorm::Each, gated: false, xielu: true, ..Arch::PLAIN };
