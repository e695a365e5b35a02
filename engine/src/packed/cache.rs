//! The folder of packed files: names, sizes, and room for another.

use super::error::PackError;
use super::header::Header;
use super::identity::Identity;
use super::partial;
use super::{EXTENSION, os, reader};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A folder in which packed files are made and from which they may be removed at any time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackCache {
    dir: PathBuf,
    limit: u64,
    reserve: u64,
}

/// A packed file in a cache.
#[derive(Clone, Debug)]
pub struct CacheEntry {
    /// Its file name.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// When it was last used or made.
    pub used: SystemTime,
    /// The file name of the model that it was made from; `None` when it cannot be read.
    pub model: Option<String>,
    /// Whether it is finished.
    pub complete: bool,
    /// Whether a process uses or makes it at the moment.
    pub busy: bool,
}

impl PackCache {
    /// The cache in `dir`, which need not exist yet, of at most `limit` bytes.
    pub fn new(dir: impl Into<PathBuf>, limit: u64) -> Self {
        Self { dir: dir.into(), limit, reserve: 2 << 30 }
    }

    /// Leaves at least so many bytes free on the disk, or a twentieth of it if that is less. 2 GiB unless set.
    pub fn with_reserve(self, reserve: u64) -> Self {
        Self { reserve, ..self }
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The most bytes that it may hold.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    pub(super) fn path(&self, identity: &Identity) -> PathBuf {
        self.dir.join(format!("{}.{EXTENSION}", identity.key()))
    }

    /// What is in it, the least recently used first. A folder that does not exist is empty.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn list(&self) -> Result<Vec<CacheEntry>, PackError> {
        let files = match std::fs::read_dir(&self.dir) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            files => files.map_err(PackError::io("read", &self.dir))?,
        };
        // What disappears meanwhile is not there.
        let mut all: Vec<CacheEntry> = files.flatten().filter_map(|f| entry(&f.path())).collect();
        all.sort_by(|a, b| (a.used, &a.name).cmp(&(b.used, &b.name)));
        Ok(all)
    }

    /// Removes an entry; false when it is being made at the moment.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove(&self, entry: &CacheEntry) -> Result<bool, PackError> {
        // Held until the file is gone, so that nobody begins to write to it.
        let _lock = match lock(&entry.path) {
            None if !entry.complete && entry.path.exists() => return Ok(false),
            lock => lock,
        };
        match std::fs::remove_file(&entry.path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(PackError::io("remove", &entry.path)(e)),
            _ => Ok(true),
        }
    }

    /// Makes the folder, and room for a file of `need` bytes at `target`: in the cache by removing others that are not
    /// in use, least recently used first; on the disk there must be room.
    pub(super) fn make_room(&self, target: &Path, need: u64) -> Result<(), PackError> {
        let full = || PackError::Limit { need, limit: self.limit };
        std::fs::create_dir_all(&self.dir).map_err(PackError::io("make", &self.dir))?;
        if need > self.limit {
            return Err(full());
        }
        let own = [target.to_owned(), partial::name(target)];
        let others: Vec<CacheEntry> = self.list()?.into_iter().filter(|e| !own.contains(&e.path)).collect();
        let mut sum = others.iter().map(|e| e.bytes).fold(need, u64::saturating_add);
        for old in others {
            if sum <= self.limit {
                break;
            }
            if !old.busy && self.remove(&old)? {
                sum -= old.bytes;
            }
        }
        if sum > self.limit {
            return Err(full());
        }
        let Some([free, size]) = os::disk(&self.dir) else { return Ok(()) };
        // What an earlier run has written need not be written again.
        let have = free.saturating_add(allocated(&own[1])).saturating_sub(self.reserve.min(size / 20));
        if need > have { Err(PackError::Space { path: target.to_owned(), need, have: Some(have) }) } else { Ok(()) }
    }

    /// Notes that a packed file is used.
    pub(super) fn touch(&self, path: &Path) {
        if path.starts_with(&self.dir) {
            // In a folder that cannot be written to nothing is removed either.
            let _ = File::open(path).and_then(|f| f.set_modified(SystemTime::now()));
        }
    }
}

/// Bytes that a file takes on the disk.
fn allocated(path: &Path) -> u64 {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        path.metadata().map_or(0, |m| m.blocks().saturating_mul(512))
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        0
    }
}

/// The file with an exclusive lock, where nobody uses it.
fn lock(path: &Path) -> Option<File> {
    let file = File::open(path).ok()?;
    file.try_lock().ok()?;
    Some(file)
}

fn entry(path: &Path) -> Option<CacheEntry> {
    let name = path.file_name()?.to_str()?.to_owned();
    let suffix = format!(".{EXTENSION}");
    let complete = name.ends_with(&suffix);
    if !complete && !name.ends_with(&format!("{suffix}.partial")) {
        return None;
    }
    let meta = path.symlink_metadata().ok().filter(|m| m.is_file())?;
    let header = reader::open_regular(path).and_then(|f| Header::read(&f, path));
    Some(CacheEntry {
        name,
        path: path.to_owned(),
        bytes: meta.len(),
        used: meta.modified().unwrap_or(SystemTime::UNIX_EPOCH),
        model: header.ok().map(|h| h.source_name),
        complete,
        busy: lock(path).is_none(),
    })
}
