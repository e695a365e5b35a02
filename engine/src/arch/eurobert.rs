//! `eurobert`: EuroBERT, jina-embeddings-v5-nano. As Llama, reading texts as a whole.

use super::Arch;

pub(super) const ARCH: Arch = Arch { name: "eurobert", encoder: true, ..Arch::PLAIN };
