//! `jina-bert-v3`: jina-embeddings-v3 without its adapters. As `bert`, with rotary positions.

use super::{Arch, bert};

pub(super) const ARCH: Arch = Arch { name: "jina-bert-v3", learned_positions: false, scoring: None, ..bert::ARCH };
