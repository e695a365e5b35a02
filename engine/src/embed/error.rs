//! Why there are no vectors.

use crate::error::EngineError;

/// Why texts could not be made vectors of.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbedError {
    /// The model, or a step.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Nothing says what becomes of rows.
    #[error("the file does not say how a text's rows become its vector (`{arch}.pooling_type`)")]
    Pooling {
        /// The architecture.
        arch: &'static str,
    },
    /// A score is asked for, and nothing gives it.
    #[error("the file has no classifier (`cls.output.weight`) of the architecture `{arch}`, which could score texts")]
    NoClassifier {
        /// The architecture.
        arch: &'static str,
    },
    /// A score is asked for, and vectors are made.
    #[error("with the pooling `{pooling}` there are vectors, no scores")]
    NoScores {
        /// The pooling.
        pooling: &'static str,
    },
    /// A text has no tokens.
    #[error("text {} is empty", text + 1)]
    Empty {
        /// Which one, from 0 on.
        text: usize,
    },
    /// A text has too many tokens. It is not cut: a vector of its beginning is another text's.
    #[error("text {} has {tokens} tokens, more than the {most} that it may have", text + 1)]
    TooLong {
        /// Which one, from 0 on.
        text: usize,
        /// Its tokens.
        tokens: usize,
        /// The most that it may have.
        most: usize,
    },
}
