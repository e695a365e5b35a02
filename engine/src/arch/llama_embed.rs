//! `llama-embed`: llama-embed-nemotron. As `llama`, reading texts as a whole.

use super::{Arch, llama};

pub(super) const ARCH: Arch = Arch { name: "llama-embed", encoder: true, ..llama::ARCH };
