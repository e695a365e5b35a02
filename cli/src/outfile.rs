//! A file that is known to be writable before the run, and is there only after it.

use crate::errors::CliError;
use crate::setup;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

/// The file to be; nothing is at its path until [`keep`](Self::keep).
pub struct OutputFile<'a> {
    path: &'a Path,
    file: tempfile::NamedTempFile,
}

impl<'a> OutputFile<'a> {
    /// Makes a temporary file beside it.
    ///
    /// # Errors
    /// The path is a folder, or its folder cannot be written to.
    pub fn open(path: &'a Path) -> Result<Self, CliError> {
        let dir = path.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let fail = |e: &io::Error| CliError::file("write", path, e);
        if path.is_dir() {
            return Err(fail(&ErrorKind::IsADirectory.into()));
        }
        Ok(Self { path, file: setup::temporary_in(dir).map_err(|e| fail(&e))? })
    }

    /// The same for an option that may be left out.
    pub fn maybe(path: Option<&'a Path>) -> Result<Option<Self>, CliError> {
        path.map(Self::open).transpose()
    }

    /// What to write to.
    pub fn file(&mut self) -> &mut File {
        self.file.as_file_mut()
    }

    /// Puts the file in its place.
    pub fn keep(self) -> Result<(), CliError> {
        self.file.persist(self.path).map(drop).map_err(|e| CliError::file("write", self.path, &e.error))
    }

    /// Writes a text and puts the file in its place.
    pub fn write(mut self, text: &str) -> Result<(), CliError> {
        self.file.write_all(text.as_bytes()).map_err(|e| CliError::file("write", self.path, &e))?;
        self.keep()
    }
}
