//! The unfinished file beside its target, held by one process at a time.

use super::error::PackError;
use super::with_suffix;
use crate::cancel::CancelToken;
use same_file::Handle;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The name of a target's unfinished file.
pub(crate) fn name(target: &Path) -> PathBuf {
    with_suffix(target, ".partial")
}

/// An unfinished file that nobody else writes: it is locked as long as this lives.
#[derive(Debug)]
pub(crate) struct Partial {
    pub file: File,
    pub path: PathBuf,
}

impl Partial {
    /// Opens or makes it. Where another process holds it, waits (after calling `on_wait` once) or gives up with
    /// [`PackError::Busy`].
    pub fn lock(target: &Path, wait: bool, cancel: &CancelToken, on_wait: &dyn Fn()) -> Result<Self, PackError> {
        let path = name(target);
        let mut waiting = false;
        loop {
            let file = File::options().read(true).write(true).create(true).truncate(false).open(&path);
            let file = file.map_err(PackError::io("write", &path))?;
            match file.try_lock() {
                // The holder before may have renamed or removed it between our opening and locking.
                Ok(()) if is_at(&file, &path) => return Ok(Self { file, path }),
                Ok(()) => continue,
                Err(TryLockError::WouldBlock) if !wait => return Err(PackError::Busy),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(e)) => return Err(PackError::io("lock", &path)(e)),
            }
            if !std::mem::replace(&mut waiting, true) {
                on_wait();
            }
            if cancel.is_cancelled() {
                return Err(PackError::Cancelled);
            }
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// Removes the file: there is nothing in it worth going on from.
    pub fn discard(self) {
        // A file that cannot be removed is found and judged by the next who tries.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Whether `path` still names this very file.
fn is_at(file: &File, path: &Path) -> bool {
    let Ok(clone) = file.try_clone() else { return false };
    matches!((Handle::from_file(clone), Handle::from_path(path)), (Ok(a), Ok(b)) if a == b)
}
