//! `nomic-bert`: nomic-embed-text 1 and 1.5. As `bert`, with rotary positions and a gated feed-forward part.

use super::{Arch, bert};
use hewn_kernels::op::activation::Activation;

pub(super) const ARCH: Arch = Arch {
    name: "nomic-bert",
    gated: true,
    activation: Activation::Silu,
    learned_positions: false,
    scoring: None,
    ..bert::ARCH
};
