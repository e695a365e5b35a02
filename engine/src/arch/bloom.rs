//! `bloom`: BLOOM and BLOOMZ. The further a position is, the less its score counts, and nothing is turned; embeddings are
//! normed, layer norms and projections have biases, no gate.

use super::{Arch, Leaning, NormKind};
use hewn_kernels::op::activation::Activation;

pub(super) const ARCH: Arch = Arch {
    name: "bloom",
    norm: NormKind::Layer,
    gated: false,
    activation: Activation::Gelu,
    embed_norm: true,
    leaning: Leaning::Always(8.0),
    unturned: true,
    ..Arch::PLAIN
};
