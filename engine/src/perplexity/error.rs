//! Why a text was not evaluated.

use crate::error::EngineError;
use hewn_kernels::TeamError;
use std::io;

/// Why a text was not evaluated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PerplexityError {
    /// A window too small to have halves.
    #[error("a window of {ctx} tokens is too small; it takes 4 at least")]
    Window {
        /// Its tokens.
        ctx: usize,
    },
    /// The text makes no window.
    #[error("the text has {have} tokens, but one window takes {need}")]
    TooShort {
        /// Tokens of the text.
        have: usize,
        /// Tokens of a window.
        need: usize,
    },
    /// Saved logits are of another model, text or window.
    #[error("the saved logits do not fit: {0}")]
    Mismatch(String),
    /// The file is no file of saved logits, or is damaged.
    #[error("the saved logits are damaged: {0}")]
    Damaged(String),
    /// Saved logits could not be read.
    #[error("cannot read the saved logits: {0}")]
    Read(io::Error),
    /// Logits could not be saved.
    #[error("cannot save the logits: {0}")]
    Write(io::Error),
    /// A step failed, or was cancelled.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl From<TeamError> for PerplexityError {
    fn from(e: TeamError) -> Self {
        EngineError::from(e).into()
    }
}
