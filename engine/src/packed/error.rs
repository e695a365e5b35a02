//! Why a packed file is not used or not made.

use std::io;
use std::path::{Path, PathBuf};

/// Why a packed file is not used or not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// A file or folder could not be read or written.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The disk is full, or would be.
    #[error("not enough room on the disk of {}: a packed file of {need} bytes{}", .path.display(), room(*.have))]
    Space {
        /// The file that was to be made.
        path: PathBuf,
        /// Its length.
        need: u64,
        /// Bytes free and not held in reserve, where that was known beforehand.
        have: Option<u64>,
    },
    /// The cache would grow beyond its limit even if everything not in use were removed.
    #[error("a packed file of {need} bytes does not fit the cache's limit of {limit}")]
    Limit {
        /// The file's length.
        need: u64,
        /// The limit.
        limit: u64,
    },
    /// The file's structure is broken.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// A tensor's bytes are not those that were written.
    #[error("it is damaged: the checksum of the tensor `{tensor}` does not match")]
    Checksum {
        /// The tensor.
        tensor: String,
    },
    /// It was written by another version.
    #[error("its layout has version {found}, and this program reads version {supported}")]
    Version {
        /// The file's.
        found: u32,
        /// The program's.
        supported: u32,
    },
    /// It was made from another model, or the model has changed.
    #[error("it was made from another model file: {0}")]
    Stale(String),
    /// What is at the place of a packed file is something else.
    #[error("{} is not a packed file", .0.display())]
    NotAPack(PathBuf),
    /// No matrix of the model is in a block format.
    #[error("there is nothing to pack: no matrix of the model is in a block format")]
    Nothing,
    /// The model was not opened from a file, and there is no cache.
    #[error("there is no place for a packed file")]
    NoPlace,
    /// Another process is making it.
    #[error("another process is making it")]
    Busy,
    /// The caller asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// Memory ran out.
    #[error("not enough memory for a buffer of {0} bytes")]
    Memory(usize),
}

impl PackError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }

    /// For an error while the packed file of `need` bytes is written.
    pub(crate) fn writing(path: &Path, need: u64) -> impl Fn(io::Error) -> Self {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        move |source| match source.kind() {
            StorageFull | QuotaExceeded | FileTooLarge => Self::Space { path: path.to_owned(), need, have: None },
            _ => Self::Io { action: "write", path: path.to_owned(), source },
        }
    }
}

fn room(have: Option<u64>) -> String {
    have.map_or(String::new(), |n| format!(", {n} to spare"))
}
