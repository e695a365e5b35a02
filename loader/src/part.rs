//! One file: a whole GGUF, or one part of a split one.

use crate::error::LoadError;
use crate::gguf::Contents;
use crate::map::{OpenOptions, Source};
use crate::tensor::TensorInfo;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// One of the files that an opened GGUF consists of.
#[derive(Debug)]
pub struct Part {
    source: Source,
    path: Option<PathBuf>,
    modified: Option<SystemTime>,
    /// Where the first tensor's bytes are.
    head: usize,
}

impl Part {
    /// Opens and checks the file at `path`.
    pub(crate) fn open(path: &Path, options: &OpenOptions) -> Result<(Self, Contents), LoadError> {
        let (source, file) = Source::open(path, options)?;
        let (mut this, contents) = Self::parse(source)?;
        this.source.check_len(path, &file)?;
        this.modified = file.metadata().and_then(|m| m.modified()).ok();
        this.path = Some(path.to_owned());
        Ok((this, contents))
    }

    /// Checks a file whose bytes are at hand.
    pub(crate) fn parse(source: Source) -> Result<(Self, Contents), LoadError> {
        let contents = Contents::parse(source.bytes())?;
        let len = source.bytes().len();
        let first = contents.tensors.list.iter().map(|t| t.offset).min();
        let head = first.and_then(|n| usize::try_from(n).ok()).map_or(len, |n| n.min(len));
        Ok((Self { source, path: None, modified: None, head }, contents))
    }

    /// Where it was opened from.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Its length in bytes.
    pub fn file_len(&self) -> u64 {
        self.bytes().len() as u64
    }

    /// When it was last written, as it was opened; `None` where nobody knows.
    pub fn modified(&self) -> Option<SystemTime> {
        self.modified
    }

    /// Everything before the first tensor's bytes: metadata and directory.
    pub fn head(&self) -> &[u8] {
        &self.bytes()[..self.head]
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.source.bytes()
    }

    pub(crate) fn release(&self, t: &TensorInfo) {
        self.source.release(t.offset, t.bytes);
    }

    pub(crate) fn is_mapped(&self) -> bool {
        matches!(self.source, Source::Map(_))
    }

    pub(crate) fn tensor_data(&self, t: &TensorInfo) -> &[u8] {
        let range = usize::try_from(t.offset).ok().zip(usize::try_from(t.offset.saturating_add(t.bytes)).ok());
        range.and_then(|(a, b)| self.bytes().get(a..b)).unwrap_or(&[])
    }
}
