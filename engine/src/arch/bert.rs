//! `bert`: BERT, RoBERTa, XLM-RoBERTa and what was trained like them (all-MiniLM, bge, bge-m3, mxbai-embed, snowflake-arctic-embed,
//! bge-reranker). Texts are read as a whole; each position and each kind of token has a row that is added to the embedding, norms
//! are behind what parts add to the stream, which has none in the end.

use super::{Arch, NormKind, Norms, Scoring};
use hewn_kernels::op::activation::Activation;

pub(super) const ARCH: Arch = Arch {
    name: "bert",
    encoder: true,
    norm: NormKind::Layer,
    norms: Norms::BEHIND,
    out_norm: None,
    gated: false,
    activation: Activation::GeluErf,
    learned_positions: true,
    token_kinds: true,
    embed_norm: true,
    scoring: Some(Scoring::Tanh),
    ..Arch::PLAIN
};
