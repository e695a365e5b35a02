//! `bailingmoe2`: Ling and Ring 2. Every query and key head is normed, half of its channels are turned; dense layers first, then
//! experts in groups, of which some take every row.

use super::{Arch, Gating, HeadNorm, Routing};

pub(super) const ARCH: Arch = Arch {
    name: "bailingmoe2",
    head_norm: HeadNorm::Each,
    experts: Some(Routing { always: true, dense_width: false, gating: Gating::Sigmoid, normalize: false }),
    ..Arch::PLAIN
};
