//! `gemma-embedding`: EmbeddingGemma. As `gemma3`, reading texts as a whole: windows reach to both sides. What comes of a text may go
//! through further matrices.

use super::{Arch, gemma3};

pub(super) const ARCH: Arch = Arch {
    name: "gemma-embedding",
    encoder: true,
    around: true,
    wide_scale_layers: None,
    dense_modules: true,
    needs: &["attention.sliding_window"],
    ..gemma3::ARCH
};
