//! Temporary files and folders, which are removed also where a second Ctrl-C ends the process at once.

use std::io;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tempfile::{NamedTempFile, TempDir};

/// What there is at the moment.
static LIST: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn list() -> MutexGuard<'static, Vec<PathBuf>> {
    LIST.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A temporary file or folder that is in the list as long as this lives.
pub struct Listed<T> {
    // First, so that it is gone before it leaves the list.
    what: T,
    _entry: Entry,
}

struct Entry(PathBuf);

impl Drop for Entry {
    fn drop(&mut self) {
        list().retain(|p| *p != self.0);
    }
}

impl<T> Listed<T> {
    /// Nothing is made while everything is being removed: the list is held meanwhile.
    fn new(make: impl FnOnce() -> io::Result<T>, path: impl FnOnce(&T) -> &Path) -> io::Result<Self> {
        let mut list = list();
        // Its name, which tempfile adds to the message, is nobody's business.
        let nameless = |e: &io::Error| e.to_string().split(" at path ").next().unwrap_or_default().to_owned();
        let what = make().map_err(|e| io::Error::new(e.kind(), nameless(&e)))?;
        let path = path(&what).to_owned();
        list.push(path.clone());
        Ok(Self { what, _entry: Entry(path) })
    }
}

impl<T> Deref for Listed<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.what
    }
}

impl<T> DerefMut for Listed<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.what
    }
}

impl Listed<NamedTempFile> {
    /// Renames it to `target`.
    pub fn persist(self, target: &Path) -> io::Result<()> {
        self.what.persist(target).map(drop).map_err(|e| e.error)
    }
}

/// A file in `dir` that disappears unless it is renamed into place, readable by whom the process's umask allows.
pub fn file_in(dir: &Path) -> io::Result<Listed<NamedTempFile>> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    Listed::new(|| builder.prefix(".hewn-").tempfile_in(dir), NamedTempFile::path)
}

/// A folder among the system's temporary ones.
pub fn folder() -> io::Result<Listed<TempDir>> {
    Listed::new(|| tempfile::Builder::new().prefix("hewn-").tempdir(), TempDir::path)
}

/// Removes everything, before the process ends at once. Whoever makes or drops one later waits for that end.
pub fn remove_all() {
    let list = list();
    for path in list.iter() {
        // Another thread may add to a folder while it is being removed.
        let folder = path.is_dir();
        let gone = || if folder { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }.is_ok();
        let _ = (0..3).any(|_| gone());
    }
    std::mem::forget(list);
}
