//! Where a file's bytes are: mapped, read into memory, or part of the program.
//!
//! # A file that changes while mapped
//! The mapping shows the file itself. A file that is *truncated* while a model runs from it makes the next access
//! beyond its new end a fatal signal (SIGBUS on Unix), which ends the process. No check can prevent that: it may
//! happen between any two instructions. So the rule is: do not shrink or overwrite a model file in place while it is
//! in use; replace it by renaming a new file over it, which leaves the mapping of the old one whole. Where that cannot
//! be promised, open with [`OpenOptions::mmap`] off: the file is then read into memory once.
//!
//! What can be noticed is: a file whose length changed while it was being opened is refused.

use crate::error::LoadError;
use memmap2::Mmap;
#[cfg(unix)]
use memmap2::UncheckedAdvice;
use std::fs::{File, Metadata};
use std::io::{Error, ErrorKind, Read, Result as IoResult};
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
    /// Part of the program itself.
    Static(&'static [u8]),
}

impl Source {
    /// The bytes of the regular file at `path`, and the file, to ask it later whether it is still as long.
    pub fn open(path: &Path, options: &OpenOptions) -> Result<(Self, File), LoadError> {
        let io = |source| LoadError::Io { path: path.to_owned(), source };
        // Before opening: opening a pipe waits for its other end.
        regular(&std::fs::metadata(path).map_err(io)?).map_err(io)?;
        let file = File::open(path).map_err(io)?;
        let meta = file.metadata().map_err(io)?;
        regular(&meta).map_err(io)?;
        // An empty file cannot be mapped; reading it gives the error that fits.
        let source = if options.mmap && meta.len() > 0 {
            // SAFETY: the bytes are only read. That the file does not shrink meanwhile is the documented rule of this
            // module; a change of its content can at worst change what is computed, as every view is re-checked by
            // slicing with lengths fixed at opening.
            let map = unsafe { Mmap::map(&file) }.map_err(io)?;
            // What the page cache does not have yet comes in huge pages, which save most misses of address translation
            // (measured: a third more tokens a second). A hint: failure is no error.
            #[cfg(target_os = "linux")]
            let _ = map.advise(memmap2::Advice::HugePage);
            Self::Map(map)
        } else {
            Self::Owned(read(&file, meta.len()).map_err(io)?)
        };
        source.check_len(path, &file)?;
        Ok((source, file))
    }

    /// An error when the file has another length now than when its bytes were taken.
    pub fn check_len(&self, path: &Path, file: &File) -> Result<(), LoadError> {
        let now = file.metadata().map_err(|source| LoadError::Io { path: path.to_owned(), source })?.len();
        let then = self.bytes().len() as u64;
        if now == then { Ok(()) } else { Err(LoadError::Changed { path: path.to_owned(), then, now }) }
    }

    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Map(m) => m,
            Self::Owned(v) => v,
            Self::Static(b) => b,
        }
    }

    /// Drops the pages that lie wholly in the range from this process's page tables. A hint: failure is no error.
    #[cfg(unix)]
    pub fn release(&self, offset: u64, bytes: u64) {
        const PAGE: u64 = 1 << 16; // The largest in use; a smaller one divides it.
        let Self::Map(map) = self else { return };
        let end = offset.saturating_add(bytes).min(map.len() as u64) / PAGE * PAGE;
        let start = offset.next_multiple_of(PAGE);
        if start < end {
            // SAFETY: the map is shared and of a file, so its bytes live in the file: dropping pages loses nothing,
            // and the next access maps them again. Readers in other threads see the same bytes before and after.
            let _ = unsafe {
                map.unchecked_advise_range(UncheckedAdvice::DontNeed, start as usize, (end - start) as usize)
            };
        }
    }

    #[cfg(not(unix))]
    pub fn release(&self, _offset: u64, _bytes: u64) {}
}

/// Whether it is a file: a folder has no bytes, a pipe or a device need not have an end.
fn regular(meta: &Metadata) -> IoResult<()> {
    if meta.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    if meta.is_file() { Ok(()) } else { Err(Error::new(ErrorKind::InvalidInput, "it is a device, a pipe or a socket")) }
}

/// At most `len` bytes and one: memory is taken for the length that the file has, whatever comes out of it.
fn read(file: &File, len: u64) -> IoResult<Vec<u8>> {
    let mut data = Vec::new();
    let room = usize::try_from(len).ok().and_then(|n| n.checked_add(1));
    room.and_then(|n| data.try_reserve_exact(n).ok()).ok_or(ErrorKind::OutOfMemory)?;
    file.take(len.saturating_add(1)).read_to_end(&mut data)?;
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Gguf;

    fn both(check: impl Fn(&OpenOptions)) {
        [true, false].into_iter().for_each(|mmap| check(&OpenOptions { mmap }));
    }

    #[test]
    fn a_file_gives_its_bytes_either_way() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, b"some bytes").unwrap();
        both(|o| {
            let (source, _) = Source::open(&path, o).unwrap();
            assert_eq!((source.bytes(), matches!(source, Source::Map(_))), (&b"some bytes"[..], o.mmap));
        });
        std::fs::write(&path, b"").unwrap();
        both(|o| assert!(Source::open(&path, o).unwrap().0.bytes().is_empty()));
        both(|o| assert!(matches!(Gguf::open(&path, o), Err(LoadError::Magic { .. }))));
    }

    #[test]
    fn a_file_may_be_part_of_the_program() {
        static BYTES: &[u8] = b"GGUF\x03\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
        let gguf = Gguf::from_static(BYTES).unwrap();
        assert_eq!((gguf.version(), gguf.file_len(), gguf.path(), gguf.is_mapped()), (3, 24, None, false));
        assert!(std::ptr::eq(gguf.parts()[0].head(), BYTES), "nothing is copied");
        assert!(matches!(Gguf::from_static(&BYTES[..20]), Err(LoadError::Truncated { .. })));
    }

    #[test]
    fn released_pages_are_still_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let bytes: Vec<u8> = (0..300_000u32).map(|i| (i % 251) as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        both(|o| {
            let (source, _) = Source::open(&path, o).unwrap();
            for (offset, len) in [(0, 300_000), (1, 299_998), (70_000, 10), (250_000, u64::MAX), (1 << 40, 5)] {
                source.release(offset, len);
                assert!(source.bytes() == bytes);
            }
        });
    }

    #[test]
    fn only_files_are_opened() {
        let dir = tempfile::tempdir().unwrap();
        let kind = |path: &Path, o: &OpenOptions| match Source::open(path, o) {
            Err(LoadError::Io { source, .. }) => source.kind(),
            other => panic!("{other:?}"),
        };
        both(|o| assert_eq!(kind(dir.path(), o), ErrorKind::IsADirectory));
        both(|o| assert_eq!(kind(&dir.path().join("none"), o), ErrorKind::NotFound));
        // It would be read until memory ends.
        #[cfg(unix)]
        both(|o| assert_eq!(kind(Path::new("/dev/zero"), o), ErrorKind::InvalidInput));
    }

    #[test]
    fn another_length_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, b"0123456789").unwrap();
        both(|o| {
            let (source, file) = Source::open(&path, o).unwrap();
            source.check_len(&path, &file).unwrap();
            let writer = File::options().write(true).open(&path).unwrap();
            for len in [9, 11] {
                writer.set_len(len).unwrap();
                let err = source.check_len(&path, &file).unwrap_err();
                assert!(matches!(err, LoadError::Changed { then: 10, now, .. } if now == len), "{err:?}");
            }
            writer.set_len(10).unwrap();
        });
    }

    #[test]
    fn reading_stops_behind_the_announced_length() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, [1; 1000]).unwrap();
        assert_eq!(read(&File::open(&path).unwrap(), 10).unwrap().len(), 11);
        assert_eq!(read(&File::open(&path).unwrap(), u64::MAX).unwrap_err().kind(), ErrorKind::OutOfMemory);
    }
}
