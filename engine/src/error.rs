//! Everything that can go wrong, as values.

use hewn_kernels::kv::KvFull;
use hewn_kernels::op::matmul::ShapeError;
use hewn_kernels::{IsaError, TeamError};
use hewn_loader::LoadError;

/// Why the engine could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The file is not a GGUF that can be believed.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The file holds an architecture without support here.
    #[error("the architecture `{name}` is not supported; supported are: {supported}")]
    Architecture {
        /// The file's `general.architecture`.
        name: String,
        /// What could be run.
        supported: String,
    },
    /// A hyperparameter is missing, out of range or asks for something that is not built.
    #[error("`{key}`: {reason}")]
    Config {
        /// The metadata key.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The file has no tensors.
    #[error("the file holds a vocabulary only, and no model")]
    VocabularyOnly,
    /// A tensor that the architecture needs is not in the file.
    #[error("the tensor `{name}` is missing")]
    MissingTensor {
        /// Its name.
        name: String,
    },
    /// The file holds a tensor that the architecture has no use for; ignoring it would give wrong text.
    #[error("the tensor `{name}` is not part of the architecture `{arch}`: the model would run wrong without it")]
    UnexpectedTensor {
        /// Its name.
        name: String,
        /// The architecture.
        arch: &'static str,
    },
    /// A tensor has another shape than the hyperparameters say.
    #[error("the tensor `{name}` is {have:?}, but the hyperparameters ask for {want:?}")]
    TensorShape {
        /// Its name.
        name: String,
        /// Dimensions wanted, row length first.
        want: Vec<u64>,
        /// Dimensions found, row length first.
        have: Vec<u64>,
    },
    /// A tensor has a number format without kernels.
    #[error(
        "the tensor `{name}` is in the format {format} (id {id}), which has no kernels; supported are: {supported}"
    )]
    TensorFormat {
        /// Its name.
        name: String,
        /// The format's name.
        format: String,
        /// The format's id.
        id: u32,
        /// What could be used.
        supported: String,
    },
    /// A tensor's bytes do not make a matrix.
    #[error("the tensor `{name}`: {source}")]
    Matrix {
        /// Its name.
        name: String,
        /// Why.
        source: ShapeError,
    },
    /// A token id beyond the vocabulary.
    #[error("the token {token} is outside the vocabulary of {vocab}")]
    Token {
        /// The id.
        token: u32,
        /// Number of tokens.
        vocab: usize,
    },
    /// The sequence is full.
    #[error("{wanted} positions are more than the context of {ctx}")]
    Context {
        /// Positions that the step would have made.
        wanted: usize,
        /// Positions that there are.
        ctx: usize,
    },
    /// A text that must be read as a whole is longer than what is computed at once.
    #[error("{tokens} tokens are read as a whole, but only {most} are computed at once")]
    WholeText {
        /// Tokens of the text.
        tokens: usize,
        /// [`RunnerOptions::chunk`](crate::RunnerOptions::chunk).
        most: usize,
    },
    /// An adapter cannot be used with the model.
    #[error("the adapter {name}: {reason}")]
    Adapter {
        /// Its file.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// An adapter where a model should be.
    #[error("the file holds an adapter for `{arch}` models, and none itself")]
    IsAdapter {
        /// The architecture of the models that it is for.
        arch: String,
    },
    /// The model reads texts as a whole, and generates none.
    #[error(
        "the model (`{arch}`) reads texts as a whole and generates none: it makes vectors of them, as `hewn embed` does"
    )]
    NoLogits {
        /// The architecture.
        arch: &'static str,
    },
    /// An option has a value that makes no sense.
    #[error("{name}: {reason}")]
    Option {
        /// The option.
        name: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// Memory ran out.
    #[error("not enough memory for {what} ({bytes} bytes)")]
    Memory {
        /// What it was for.
        what: &'static str,
        /// How much.
        bytes: usize,
    },
    /// A NaN or an infinity came up: the weights are damaged or overflow.
    #[error("a value is not finite {at}: the weights are damaged, or too large for the number formats in use")]
    NonFinite {
        /// Where.
        at: String,
    },
    /// The caller asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// The instruction set cannot be used.
    #[error(transparent)]
    Isa(#[from] IsaError),
    /// The thread team failed.
    #[error(transparent)]
    Team(#[from] TeamError),
    /// A sequence of another model was passed.
    #[error("the sequence was made for another model")]
    ForeignSequence,
    /// A saved sequence cannot be read, or written.
    #[error("the saved sequence: {reason}")]
    Saved {
        /// Why.
        reason: String,
    },
    /// The packed file that was to be waited for cannot be made.
    #[error("the packed file: {0}")]
    Pack(#[from] crate::packed::PackError),
    /// Sampling failed.
    #[error(transparent)]
    Sampler(#[from] crate::sampler::SamplerError),
}

impl From<KvFull> for EngineError {
    fn from(full: KvFull) -> Self {
        Self::Memory { what: "the key/value cache", bytes: full.bytes }
    }
}

/// An all-zero buffer, or an error where an abort would be.
pub(crate) fn zeroed<T: Clone + Default>(n: usize, what: &'static str) -> Result<Vec<T>, EngineError> {
    let mut v = Vec::new();
    v.try_reserve_exact(n).map_err(|_| EngineError::Memory { what, bytes: n.saturating_mul(size_of::<T>()) })?;
    v.resize(n, T::default());
    Ok(v)
}
