//! Why a file was refused: what, where, and which key or tensor.

use std::path::PathBuf;

/// Why a GGUF file was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The file could not be opened, mapped or read.
    #[error("cannot read {}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// The first four bytes are not `GGUF`.
    #[error("not a GGUF file: it starts with {found:02x?} instead of `GGUF`")]
    Magic {
        /// The first bytes, as many as there are.
        found: Vec<u8>,
    },
    /// A version that is not 1, 2 or 3.
    #[error("GGUF version {0} is not supported; 1, 2 and 3 are (byte 4)")]
    Version(u32),
    /// A big-endian file.
    #[error("a big-endian GGUF file (version {0}); only little-endian ones are supported (byte 4)")]
    BigEndian(u32),
    /// The file ends before something that it announces.
    #[error("the file ends too early: {what} at byte {at} needs {need} bytes, {left} are left")]
    Truncated {
        /// What was being read.
        what: String,
        /// Where.
        at: usize,
        /// Bytes needed at least.
        need: u64,
        /// Bytes left.
        left: u64,
    },
    /// A count or length that this file cannot hold.
    #[error("{what} at byte {at}: {count} is more than the file can hold")]
    Count {
        /// What is counted.
        what: String,
        /// Where.
        at: usize,
        /// The count.
        count: u64,
    },
    /// A key or tensor name that is not UTF-8 or is empty.
    #[error("{what} at byte {at} is not a valid name")]
    Name {
        /// Key or tensor name.
        what: &'static str,
        /// Where.
        at: usize,
    },
    /// A value type that does not exist.
    #[error("`{key}` has the unknown value type {id} (byte {at})")]
    ValueType {
        /// The key.
        key: String,
        /// The type id.
        id: u32,
        /// Where.
        at: usize,
    },
    /// A boolean that is neither 0 nor 1.
    #[error("`{key}` is a boolean of value {value} (byte {at})")]
    Bool {
        /// The key.
        key: String,
        /// The byte found.
        value: u8,
        /// Where.
        at: usize,
    },
    /// Arrays of arrays of arrays of ...
    #[error("`{key}` nests arrays deeper than {max} (byte {at})")]
    Nesting {
        /// The key.
        key: String,
        /// The limit.
        max: usize,
        /// Where.
        at: usize,
    },
    /// A key or tensor name that occurs twice.
    #[error("{what} `{name}` occurs twice (byte {at})")]
    Duplicate {
        /// Key or tensor.
        what: &'static str,
        /// The name.
        name: String,
        /// Where the second one is.
        at: usize,
    },
    /// A required key is missing.
    #[error("the key `{0}` is missing")]
    MissingKey(String),
    /// A key has a value of another type than its meaning asks for.
    #[error("`{key}` should be {want}, but is {have} (byte {at})")]
    WrongType {
        /// The key.
        key: String,
        /// The type wanted.
        want: &'static str,
        /// The type found.
        have: String,
        /// Where the value is.
        at: usize,
    },
    /// `general.alignment` is not a power of two from 8 to 65536.
    #[error("`general.alignment` is {0}; it must be a power of two from 8 to 65536")]
    Alignment(u64),
    /// A tensor with no dimensions, more than four, a zero, or a product that overflows.
    #[error("tensor `{name}` has the dimensions {dims:?}: {reason} (byte {at})")]
    Dims {
        /// The tensor.
        name: String,
        /// Its dimensions, as far as they were read.
        dims: Vec<u64>,
        /// What is wrong.
        reason: &'static str,
        /// Where.
        at: usize,
    },
    /// A tensor type id that is unknown or was removed from the format.
    #[error("tensor `{name}` has the type id {id}, which is {status} (byte {at})")]
    TensorType {
        /// The tensor.
        name: String,
        /// The id.
        id: u32,
        /// `unknown` or `removed from the format`.
        status: &'static str,
        /// Where.
        at: usize,
    },
    /// A row that is not a whole number of blocks.
    #[error("tensor `{name}`: rows of {cols} weights are not whole blocks of {block} ({format})")]
    RowLength {
        /// The tensor.
        name: String,
        /// Row length.
        cols: u64,
        /// Block length.
        block: u64,
        /// The format.
        format: &'static str,
    },
    /// A tensor that does not start at a multiple of the alignment.
    #[error("tensor `{name}`: its offset {offset} is not a multiple of the alignment {alignment}")]
    Misaligned {
        /// The tensor.
        name: String,
        /// Offset within the data part.
        offset: u64,
        /// The file's alignment.
        alignment: u64,
    },
    /// A tensor that does not lie within the file.
    #[error("tensor `{name}`: {bytes} bytes at offset {offset} of the data part, which has {available}")]
    OutOfFile {
        /// The tensor.
        name: String,
        /// Offset within the data part.
        offset: u64,
        /// Its size.
        bytes: u64,
        /// Size of the data part.
        available: u64,
    },
    /// Two tensors that share bytes.
    #[error("tensors `{first}` and `{second}` overlap in the file")]
    Overlap {
        /// The one that starts first.
        first: String,
        /// The other.
        second: String,
    },
}
