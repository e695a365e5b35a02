//! Why a file was refused: what, where, and which key or tensor.

use std::fmt;
use std::path::{Path, PathBuf};

/// A name out of the file as a message may show it: a name may be as long as the file, and hold what steers a terminal.
pub(crate) struct Shown<'a>(pub &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 100;
        let end = self.0.char_indices().nth(MOST).map_or(self.0.len(), |(i, _)| i);
        write!(f, "`{}`", self.0[..end].escape_debug())?;
        if end < self.0.len() { write!(f, "... ({} bytes)", self.0.len()) } else { Ok(()) }
    }
}

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
    /// The file grew or shrank while it was being opened.
    #[error("{} changed while it was opened: it had {then} bytes, now it has {now}", .path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// Its length at first.
        then: u64,
        /// Its length afterwards.
        now: u64,
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
    #[error("{} has the unknown value type {id} (byte {at})", Shown(.key))]
    ValueType {
        /// The key.
        key: String,
        /// The type id.
        id: u32,
        /// Where.
        at: usize,
    },
    /// A boolean that is neither 0 nor 1.
    #[error("{} is a boolean of value {value} (byte {at})", Shown(.key))]
    Bool {
        /// The key.
        key: String,
        /// The byte found.
        value: u8,
        /// Where.
        at: usize,
    },
    /// Arrays of arrays of arrays of ...
    #[error("{} nests arrays deeper than {max} (byte {at})", Shown(.key))]
    Nesting {
        /// The key.
        key: String,
        /// The limit.
        max: usize,
        /// Where.
        at: usize,
    },
    /// A key or tensor name that occurs twice.
    #[error("{what} {} occurs twice (byte {at})", Shown(.name))]
    Duplicate {
        /// Key or tensor.
        what: &'static str,
        /// The name.
        name: String,
        /// Where the second one is.
        at: usize,
    },
    /// A required key is missing.
    #[error("the key {} is missing", Shown(.0))]
    MissingKey(String),
    /// A key has a value of another type than its meaning asks for.
    #[error("{} should be {want}, but is {have} (byte {at})", Shown(.key))]
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
    #[error("`general.alignment` is {value}; it must be a power of two from 8 to 65536 (byte {at})")]
    Alignment {
        /// What it is.
        value: u64,
        /// Where.
        at: usize,
    },
    /// A tensor with no dimensions, more than four, a zero, or a product that overflows.
    #[error("tensor {} has the dimensions {dims:?}: {reason} (byte {at})", Shown(.name))]
    Dims {
        /// The tensor.
        name: String,
        /// Its dimensions, as far as they were read.
        dims: Vec<u64>,
        /// What is wrong.
        reason: String,
        /// Where.
        at: usize,
    },
    /// A tensor type id that is unknown or was removed from the format.
    #[error("tensor {} has the type id {id}, which is {status} (byte {at})", Shown(.name))]
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
    #[error("tensor {}: rows of {cols} weights are not whole blocks of {block} ({format}; byte {at})", Shown(.name))]
    RowLength {
        /// The tensor.
        name: String,
        /// Row length.
        cols: u64,
        /// Block length.
        block: u64,
        /// The format.
        format: &'static str,
        /// Where its directory entry is.
        at: usize,
    },
    /// A tensor that does not start at a multiple of the alignment.
    #[error("tensor {}: its offset {offset} is not a multiple of the alignment {alignment} (byte {at})", Shown(.name))]
    Misaligned {
        /// The tensor.
        name: String,
        /// Offset within the data part.
        offset: u64,
        /// The file's alignment.
        alignment: u64,
        /// Where its directory entry is.
        at: usize,
    },
    /// A tensor that does not lie within the file.
    #[error("tensor {}: {bytes} bytes at offset {offset} of the data part, which has {available} (byte {at})", Shown(.name))]
    OutOfFile {
        /// The tensor.
        name: String,
        /// Offset within the data part.
        offset: u64,
        /// Its size.
        bytes: u64,
        /// Size of the data part.
        available: u64,
        /// Where its directory entry is.
        at: usize,
    },
    /// Two tensors that share bytes.
    #[error("tensors {} and {} overlap in the file (byte {at})", Shown(.first), Shown(.second))]
    Overlap {
        /// The one that starts first.
        first: String,
        /// The other.
        second: String,
        /// Where the other starts.
        at: u64,
    },
    /// Another part of a split file than the one that was given is refused for itself.
    #[error("{}: {source}", .path.display())]
    Part {
        /// The part.
        path: PathBuf,
        /// Why.
        source: Box<LoadError>,
    },
    /// The parts of a split file do not make a whole.
    #[error("{}: {fault}", .path.display())]
    Split {
        /// The part that is wrong.
        path: PathBuf,
        /// What is wrong with it.
        fault: SplitFault,
    },
}

impl LoadError {
    /// The same with the part's path, for an error that does not name a file itself.
    pub(crate) fn of_part(self, path: &Path) -> Self {
        match self {
            Self::Io { .. } | Self::Changed { .. } | Self::Split { .. } => self,
            e => Self::Part { path: path.to_owned(), source: Box::new(e) },
        }
    }
}

/// How the parts of a split file do not make a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SplitFault {
    /// Its name does not say where the other parts are.
    #[error("part {no} of {count} of a split file, so its name must end in -{no:05}-of-{count:05}.gguf")]
    Name {
        /// Its number by its metadata, from 1.
        no: u64,
        /// Number of parts by its metadata.
        count: u64,
    },
    /// It was read from memory, where there are no other parts.
    #[error("one part of a split file; such a file must be opened by its path")]
    Memory,
    /// It is not there.
    #[error("part {no} of {count} is missing")]
    Missing {
        /// Its number, from 1.
        no: u64,
        /// Number of parts.
        count: u64,
    },
    /// It has a part's name, and no part is in it.
    #[error("its name is that of a part of a split file, its content is a whole file")]
    Whole,
    /// Its name and its metadata are of two minds.
    #[error("by its name it is part {name_no} of {name_count}, by its metadata part {no} of {count}")]
    Number {
        /// Its number by its name, from 1.
        name_no: u64,
        /// Number of parts by its name.
        name_count: u64,
        /// Its number by its metadata, from 1.
        no: u64,
        /// Number of parts by its metadata.
        count: u64,
    },
    /// It has another value of a key than the first part: it was made with another model.
    #[error("a part of another model: {} is not as in {}", Shown(.key), .first.display())]
    Foreign {
        /// The key.
        key: String,
        /// The first part.
        first: PathBuf,
    },
    /// One of its tensors is in an earlier part too.
    #[error("the tensor {} is in {} too", Shown(.name), .first.display())]
    Tensor {
        /// The tensor.
        name: String,
        /// The earlier part.
        first: PathBuf,
    },
    /// All parts together have more or fewer tensors than the metadata say.
    #[error("all parts together have {have} tensors, its metadata say {want}")]
    Tensors {
        /// By its metadata.
        want: u64,
        /// In fact.
        have: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_messages_are_short_and_plain() {
        assert_eq!(Shown("blk.0.\u{e9}").to_string(), "`blk.0.\u{e9}`");
        assert_eq!(Shown("\u{1b}[2J\n`").to_string(), "`\\u{1b}[2J\\n``");
        let long = "\u{e9}".repeat(1000);
        assert_eq!(Shown(&long).to_string(), format!("`{}`... (2000 bytes)", &long[..200]));
        let error = LoadError::Truncated { what: "x".into(), at: 7, need: 8, left: 1 };
        assert_eq!(error.to_string(), "the file ends too early: x at byte 7 needs 8 bytes, 1 are left");
    }
}
