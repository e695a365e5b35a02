//! Small files of the operating system, below a root folder.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// No file that is read here is nearly as long, even with thousands of processors.
const LONGEST: u64 = 4 << 20;

/// The folder that paths are looked up in: `/`, except in tests.
#[derive(Clone, Copy)]
pub(super) struct Root<'a>(pub &'a Path);

impl Root<'_> {
    /// The system's own.
    pub fn system() -> Root<'static> {
        Root(Path::new("/"))
    }

    /// A path below the root; `path` may be absolute.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.0.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// A file's text without the white space around it.
    pub fn text(&self, path: impl AsRef<Path>) -> Option<String> {
        let mut bytes = Vec::new();
        File::open(self.path(path)).ok()?.take(LONGEST).read_to_end(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes).trim_matches(|c: char| c.is_whitespace() || c == '\0').to_owned())
    }

    /// A file that holds one number.
    pub fn number<T: std::str::FromStr>(&self, path: impl AsRef<Path>) -> Option<T> {
        self.text(path)?.parse().ok()
    }

    /// A file that holds a list of processors.
    pub fn list(&self, path: impl AsRef<Path>) -> Option<Vec<usize>> {
        parse_list(&self.text(path)?)
    }
}

/// `0-3,8` as numbers; `None` when it is not such a list or longer than any machine.
pub(super) fn parse_list(text: &str) -> Option<Vec<usize>> {
    const MOST: usize = 65_536;
    let mut all = Vec::new();
    for part in text.split(',').filter(|p| !p.is_empty()) {
        let (a, b) = part.split_once('-').unwrap_or((part, part));
        let (a, b): (usize, usize) = (a.trim().parse().ok()?, b.trim().parse().ok()?);
        if b < a || b >= MOST || all.len() > MOST {
            return None;
        }
        all.extend(a..=b);
    }
    Some(all)
}

/// The value of `key` in lines of the form `key : value`.
pub(super) fn field<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    text.lines().find_map(|l| {
        let (k, v) = l.split_once(':')?;
        (k.trim() == key).then(|| v.trim())
    })
}
