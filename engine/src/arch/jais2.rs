//! `jais2`: Jais 2. Layer norms and projections with biases; the feed-forward part, without a gate, squares what is above 0.

use super::{Arch, nemotron};

pub(super) const ARCH: Arch = Arch { name: "jais2", ..nemotron::ARCH };
