//! `arcee`: Arcee's AFM 4.5B. As `llama`, without a gate: the feed-forward part squares what is above 0.

use super::Arch;
use hewn_kernels::op::activation::Activation;
use hewn_kernels::op::rope::Pairing;

pub(super) const ARCH: Arch = Arch {
    name: "arcee",
    pairing: Pairing::Neighbours,
    gated: false,
    activation: Activation::ReluSquared,
    ..Arch::PLAIN
};
