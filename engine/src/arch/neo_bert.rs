//! `neo-bert`: NeoBERT. Texts are read as a whole; norms before both parts, rotary positions, a gated feed-forward part.

use super::{Arch, Scoring};
use hewn_kernels::op::rope::Pairing;

pub(super) const ARCH: Arch = Arch {
    name: "neo-bert",
    encoder: true,
    pairing: Pairing::Neighbours,
    out_norm: Some("enc.output_norm"),
    scoring: Some(Scoring::Tanh),
    ..Arch::PLAIN
};
