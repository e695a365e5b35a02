//! `jina-bert-v2`: jina-embeddings-v2. As `bert`, but scores count less the further away a position is, on both sides, and the
//! feed-forward part is gated. Those for code norm queries and keys, and add a layer's input twice.

use super::{Arch, HeadNorm, Leaning, bert};

pub(super) const ARCH: Arch = Arch {
    name: "jina-bert-v2",
    gated: true,
    learned_positions: false,
    leaning: Leaning::Always(8.0),
    head_norm: HeadNorm::WholeLayer,
    input_again: Some("attn_norm_2"),
    scoring: None,
    ..bert::ARCH
};
