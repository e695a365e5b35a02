//! Where a command writes: a file that is known to be writable before the run and is there only after it, a pipe or a
//! device as it is, or standard output.

use crate::errors::CliError;
use crate::temporary::{self, Listed};
use hewn_engine::loader::Gguf;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};

/// Symbolic links behind each other that are followed, as many as Linux does.
const LINKS: usize = 40;

/// The output to be.
pub struct OutputFile {
    /// As the user named it.
    shown: PathBuf,
    to: To,
    bytes: u64,
}

enum To {
    /// A temporary file beside `target`, at which nothing changes until [`OutputFile::keep`].
    File {
        temporary: Listed<tempfile::NamedTempFile>,
        target: PathBuf,
    },
    /// What is there and is no regular file: a rename would put one in the place of the pipe or device.
    There(File),
    Stdout(io::Stdout),
}

impl OutputFile {
    /// An output with a name; `-` is refused, because standard output is `taken` by something else.
    ///
    /// # Errors
    /// The path is a folder, or cannot be written to.
    pub fn open(path: &Path, taken: &str) -> Result<Self, CliError> {
        if path.as_os_str() == "-" {
            let cause = format!("this output cannot go to standard output, {taken}");
            return Err(CliError::usage(cause, "name a file; ./- is one called `-`"));
        }
        let to = To::at(path).map_err(|e| CliError::file("write", path, &e))?;
        Ok(Self { shown: path.to_owned(), to, bytes: 0 })
    }

    /// The same for an option that may be left out.
    pub fn maybe(path: Option<&Path>, taken: &str) -> Result<Option<Self>, CliError> {
        path.map(|path| Self::open(path, taken)).transpose()
    }

    /// An output of bytes, for which `-` is standard output.
    ///
    /// # Errors
    /// As [`open`](Self::open); or standard output is a terminal.
    pub fn stream(path: &Path) -> Result<Self, CliError> {
        if path.as_os_str() != "-" {
            return Self::open(path, "");
        }
        if io::stdout().is_terminal() {
            return Err(CliError::usage("a terminal cannot show this output", "name a file, or send it to a pipe"));
        }
        Ok(Self { shown: path.to_owned(), to: To::Stdout(io::stdout()), bytes: 0 })
    }

    /// Refuses to replace one of these files, which the command reads.
    pub fn must_not_be<'a>(&self, inputs: impl IntoIterator<Item = &'a Path>) -> Result<(), CliError> {
        let To::File { target, .. } = &self.to else { return Ok(()) };
        let Ok(target) = target.canonicalize() else { return Ok(()) };
        match inputs.into_iter().find(|input| input.canonicalize().is_ok_and(|i| i == target)) {
            Some(input) => {
                let cause = format!("the output is the input {}", input.display());
                Err(CliError::usage(cause, "give the new file another name"))
            }
            None => Ok(()),
        }
    }

    /// What to make of an error of writing.
    pub fn fail(&self) -> impl Fn(&io::Error) -> CliError + use<> {
        let (path, stdout) = (self.shown.clone(), matches!(self.to, To::Stdout(_)));
        move |e| match stdout {
            true => e.raw_os_error().map_or_else(|| e.kind().into(), io::Error::from_raw_os_error).into(),
            false => CliError::file("write", &path, e),
        }
    }

    /// Bytes written so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Sees to it that a file's bytes are on the disk.
    pub fn sync(&self) -> io::Result<()> {
        if let To::File { temporary, .. } = &self.to { temporary.as_file().sync_all() } else { Ok(()) }
    }

    /// The output is complete: puts a file in its place.
    pub fn keep(mut self) -> Result<(), CliError> {
        let fail = self.fail();
        self.flush().map_err(|e| fail(&e))?;
        match self.to {
            To::File { temporary, target } => temporary.persist(&target).map_err(|e| fail(&e)),
            To::There(_) | To::Stdout(_) => Ok(()),
        }
    }

    /// Writes a text, which is all there is.
    pub fn write_text(mut self, text: &str) -> Result<(), CliError> {
        let fail = self.fail();
        self.write_all(text.as_bytes()).map_err(|e| fail(&e))?;
        self.keep()
    }
}

impl To {
    fn at(path: &Path) -> io::Result<Self> {
        match path.metadata() {
            Ok(there) if there.is_dir() => return Err(ErrorKind::IsADirectory.into()),
            Ok(there) if !there.is_file() => return Ok(Self::There(OpenOptions::new().write(true).open(path)?)),
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let target = behind_links(path);
        let dir = target.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Ok(Self::File { temporary: temporary::file_in(dir)?, target })
    }
}

impl Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = match &mut self.to {
            To::File { temporary, .. } => temporary.as_file_mut().write(bytes),
            To::There(file) => file.write(bytes),
            To::Stdout(out) => out.write(bytes),
        }?;
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.to {
            To::File { temporary, .. } => temporary.as_file_mut().flush(),
            To::There(file) => file.flush(),
            To::Stdout(out) => out.flush(),
        }
    }
}

/// The files of a model, which no output may be.
pub fn parts(gguf: &Gguf) -> impl Iterator<Item = &Path> {
    gguf.parts().iter().filter_map(|p| p.path())
}

/// What a symbolic link stands for, also where nothing is there yet: the link stays, and the file is made where it points.
pub fn behind_links(path: &Path) -> PathBuf {
    let mut at = path.to_owned();
    for _ in 0..LINKS {
        let Ok(to) = at.read_link() else { break };
        at = at.parent().unwrap_or(Path::new("")).join(to);
    }
    at
}
