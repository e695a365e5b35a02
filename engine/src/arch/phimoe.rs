//! `phimoe`: Phi 3.5 MoE and Phi mini MoE. As `phi3` with layer norms, biases throughout and a mixture of experts, whose two
//! weights are those of the authors' sparse mixer: they are not made to sum to 1.

use super::{Arch, Gating, NormKind, Routing};

pub(super) const ARCH: Arch = Arch {
    name: "phimoe",
    norm: NormKind::Layer,
    // The files have the name of the other norms' one.
    either_epsilon: true,
    experts: Some(Routing { always: true, dense_width: true, gating: Gating::SparseMixer, normalize: false }),
    ..Arch::PLAIN
};
