//! Why a file was not quantized.

use hewn_kernels::TeamError;
use hewn_loader::LoadError;
use std::io;

/// Why a file was not quantized.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QuantizeError {
    /// A metadata value that the rules need is of the wrong type.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// There is nothing to quantize.
    #[error("the file holds no tensors")]
    NoTensors,
    /// The source is quantized already.
    #[error("the tensor `{tensor}` is quantized already ({format}): to quantize it again costs quality")]
    Quantized {
        /// The tensor.
        tensor: String,
        /// Its format.
        format: &'static str,
    },
    /// A tensor is in a format that cannot be decoded.
    #[error("the tensor `{tensor}` is in the format {format}, which cannot be decoded here")]
    Source {
        /// The tensor.
        tensor: String,
        /// Its format.
        format: &'static str,
    },
    /// A weight is a NaN or an infinity.
    #[error("the tensor `{tensor}`: weight {index} is {value}: the file is damaged or its training went wrong")]
    NonFinite {
        /// The tensor.
        tensor: String,
        /// Which of its weights, in file order from 0.
        index: u64,
        /// What it is.
        value: f32,
    },
    /// A weight is beyond what the format can hold.
    #[error("the tensor `{tensor}`: weight {index} is {value:e}, more than {format} can hold ({limit:e})")]
    Range {
        /// The tensor.
        tensor: String,
        /// Which of its weights, in file order from 0.
        index: u64,
        /// What it is.
        value: f32,
        /// The format.
        format: &'static str,
        /// The largest magnitude that it holds.
        limit: f32,
    },
    /// The output could not be written.
    #[error("cannot write: {0}")]
    Write(io::Error),
    /// The threads failed.
    #[error(transparent)]
    Team(#[from] TeamError),
    /// Memory ran out.
    #[error("not enough memory for a buffer of {0} bytes")]
    Memory(usize),
    /// The caller asked to stop.
    #[error("cancelled")]
    Cancelled,
}
