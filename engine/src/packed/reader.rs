//! Opening a packed file: everything is checked before it is believed.
//!
//! At once: the header's checksum, and that it is the very header that would be written for this model. Later, tensor
//! by tensor: the checksum of the packed bytes, and, where the model's file has another modification time than the one
//! last compared, that of the source's bytes.

use super::error::PackError;
use super::header::{self, Entry, Header};
use super::identity::{self, Identity};
use super::os;
use super::plan::Plan;
use super::slot::PackMap;
use crate::cancel::CancelToken;
use memmap2::Mmap;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// Bytes hashed between two looks at the cancel flag.
const STRIDE: usize = 1 << 20;

/// A complete packed file whose header fits the model.
#[derive(Debug)]
pub(crate) struct Pack {
    path: PathBuf,
    map: Arc<PackMap>,
    entries: Vec<Entry>,
    /// Whether the source has the modification time that was last compared.
    fresh: bool,
}

/// Opens a regular file; a pipe would be waited for.
pub(super) fn open_regular(path: &Path) -> Result<File, PackError> {
    let io = PackError::io("read", path);
    if !std::fs::metadata(path).map_err(&io)?.is_file() {
        return Err(PackError::NotAPack(path.to_owned()));
    }
    File::open(path).map_err(io)
}

/// Maps a file and reads its header.
fn map_header(path: &Path) -> Result<(Header, PackMap), PackError> {
    let file = open_regular(path)?;
    let io = PackError::io("read", path);
    if file.metadata().map_err(&io)?.len() == 0 {
        return Err(PackError::Damaged("it is empty".into()));
    }
    // SAFETY: the bytes are only read. Hewn itself changes nothing but the stamp of a finished file: others are renamed
    // into its place. A program that shrinks it in place ends this process (see the loader's `map.rs`), one that
    // changes its content changes what is computed.
    let map = unsafe { Mmap::map(&file) }.map_err(io)?;
    os::huge_pages(&map);
    Ok((Header::decode(&map)?, PackMap { map, _file: file }))
}

impl Pack {
    /// Checks the file at `path` against the model.
    pub fn open(path: &Path, plan: &Plan, identity: &Identity) -> Result<Self, PackError> {
        let (header, map) = map_header(path)?;
        header.check(plan, identity)?;
        if map.map.len() as u64 != header.file_len {
            return Err(PackError::Damaged(format!("it has {} bytes, not {}", map.map.len(), header.file_len)));
        }
        if header.entries.iter().any(|e| e.sums.is_none()) {
            return Err(PackError::Damaged("it is not complete".into()));
        }
        // A courtesy to other processes that make room; it is believed without.
        let _ = map._file.try_lock_shared();
        let modified = identity::stamp(&plan.gguf);
        let fresh = modified != 0 && header.stamp == modified;
        Ok(Self { path: path.to_owned(), map: Arc::new(map), entries: header.entries, fresh })
    }

    #[cfg(test)]
    pub fn map(&self) -> Arc<PackMap> {
        self.map.clone()
    }

    /// Checks tensor `i`.
    fn verify(&self, plan: &Plan, i: usize, cancel: &CancelToken) -> Result<(), PackError> {
        let item = &plan.items[i];
        let [packed, source] = self.entries[i].sums.unwrap_or_default();
        let damaged = || PackError::Checksum { tensor: item.target.tensor.name.clone() };
        let range = item.range(self.map.map.len()).ok_or_else(damaged)?;
        if hash(&self.map.map[range], cancel)? != packed {
            return Err(damaged());
        }
        if !self.fresh && hash(plan.gguf.tensor_data(&item.target.tensor), cancel)? != source {
            return Err(PackError::Stale(format!("the tensor `{}` was different", item.target.tensor.name)));
        }
        Ok(())
    }

    /// Checks every tensor.
    pub fn verify_all(&self, plan: &Plan, cancel: &CancelToken) -> Result<(), PackError> {
        (0..plan.items.len()).try_for_each(|i| self.verify(plan, i, cancel))?;
        self.stamp(plan);
        Ok(())
    }

    /// Checks the tensors one by one and switches each that is right.
    pub fn switch(&self, plan: &Plan, cancel: &CancelToken) -> Result<(), PackError> {
        for (i, item) in plan.items.iter().enumerate() {
            let target = &item.target;
            if target.slot.get().is_some() {
                continue;
            }
            self.verify(plan, i, cancel)?;
            let range = item.range(self.map.map.len()).ok_or_else(|| PackError::Damaged("it is too short".into()))?;
            if target.slot.set(&self.map, range) && !target.looked_up {
                plan.gguf.release(&target.tensor);
            }
        }
        self.stamp(plan);
        Ok(())
    }

    /// Notes that the source was compared. Where the file cannot be written to, it will be compared again.
    fn stamp(&self, plan: &Plan) {
        let (modified, data) = (identity::stamp(&plan.gguf), &self.map.map);
        let len = header::len(self.entries.iter().map(|e| e.name.as_str())) as usize;
        let (false, true, Some(sum)) = (self.fresh, modified != 0, data.get(len - 8..len)) else { return };
        let sum = sum.try_into().map_or(0, u64::from_le_bytes);
        let write = || -> std::io::Result<()> {
            let mut file = File::options().write(true).open(&self.path)?;
            file.seek(SeekFrom::Start(header::STAMP.start as u64))?;
            file.write_all(&header::stamp(modified, sum))
        };
        let _ = write();
    }
}

/// How many bytes of the unfinished file at `path` are written, where it is one for this plan.
pub(super) fn progress(path: &Path, plan: &Plan, identity: &Identity) -> Option<u64> {
    let header = Header::read(&open_regular(path).ok()?, path).ok()?;
    header.check(plan, identity).ok()?;
    Some(header.entries.iter().filter(|e| e.sums.is_some()).map(|e| e.bytes).sum())
}

/// The checksum of `data`.
pub(super) fn hash(data: &[u8], cancel: &CancelToken) -> Result<u64, PackError> {
    if data.len() <= STRIDE {
        return Ok(xxh3_64(data));
    }
    let mut sum = Xxh3::new();
    for part in data.chunks(STRIDE) {
        if cancel.is_cancelled() {
            return Err(PackError::Cancelled);
        }
        sum.update(part);
    }
    Ok(sum.digest())
}
