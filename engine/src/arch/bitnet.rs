//! `bitnet`: models with weights of -1, 0 and 1 as bitnet_b1_58. As `llama` with further norms, before the output matrix of the
//! attention and the last one of the feed-forward part.

use super::Arch;

pub(super) const ARCH: Arch = Arch { name: "bitnet", inner_norms: true, ..Arch::PLAIN };
