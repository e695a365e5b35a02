//! `gpt2`: GPT-2 and what was trained like it. Each position has a row that is added to the embedding; layer norms and
//! projections with biases, no gate.

use super::{Arch, NormKind};
use hewn_kernels::op::activation::Activation;

pub(super) const ARCH: Arch = Arch {
    name: "gpt2",
    norm: NormKind::Layer,
    gated: false,
    activation: Activation::Gelu,
    learned_positions: true,
    ..Arch::PLAIN
};
