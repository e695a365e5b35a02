//! Where a file's bytes are: mapped, or read into memory.
//!
//! # A file that changes while mapped
//! The mapping shows the file itself. A file that is *truncated* while a model runs from it makes the next access
//! beyond its new end a fatal signal (SIGBUS on Unix), which ends the process. No check can prevent that: it may
//! happen between any two instructions. So the rule is: do not shrink or overwrite a model file in place while it is
//! in use; replace it by renaming a new file over it, which leaves the mapping of the old one whole. Where that cannot
//! be promised, open with [`OpenOptions::mmap`] off: the file is then read into memory once.

use crate::error::LoadError;
use memmap2::Mmap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// How a file is opened.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// Map the file instead of reading it. The default.
    pub mmap: bool,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self { mmap: true }
    }
}

/// A file's bytes.
#[derive(Debug)]
pub(crate) enum Source {
    Map(Mmap),
    Owned(Vec<u8>),
}

impl Source {
    pub fn open(path: &Path, options: &OpenOptions) -> Result<Self, LoadError> {
        let io = |source| LoadError::Io { path: path.to_owned(), source };
        let mut file = File::open(path).map_err(io)?;
        let meta = file.metadata().map_err(io)?;
        if meta.is_dir() {
            return Err(io(std::io::Error::from(std::io::ErrorKind::IsADirectory)));
        }
        // A pipe or a device has no length to map; an empty file cannot be mapped.
        if options.mmap && meta.is_file() && meta.len() > 0 {
            // SAFETY: the bytes are only read. That the file does not shrink meanwhile is the documented rule of this
            // module; a change of its content can at worst change what is computed, as every view is re-checked by
            // slicing with lengths fixed at opening.
            let map = unsafe { Mmap::map(&file) }.map_err(io)?;
            return Ok(Self::Map(map));
        }
        let mut data = Vec::new();
        let len = usize::try_from(meta.len()).unwrap_or(usize::MAX);
        data.try_reserve_exact(len).map_err(|_| io(std::io::Error::from(std::io::ErrorKind::OutOfMemory)))?;
        file.read_to_end(&mut data).map_err(io)?;
        Ok(Self::Owned(data))
    }

    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Map(m) => m,
            Self::Owned(v) => v,
        }
    }
}
