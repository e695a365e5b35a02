//! `plamo`: PLaMo 13B. Attention and feed-forward part read the same norm.

use super::{Arch, Norms, Parallel};

pub(super) const ARCH: Arch = Arch {
    name: "plamo",
    norms: Norms { before_ff: None, ..Norms::BEFORE },
    parallel: Parallel::Always,
    ..Arch::PLAIN
};
