//! Split files: `NAME-00001-of-00003.gguf` and its siblings, each a GGUF file with some of the tensors.
//!
//! ```text
//! split.no             which part, from 0 (names count from 1)
//! split.count          how many; 0 or 1 is a whole file (merging leaves a 0)
//! split.tensors.count  tensors of all parts together
//! ```
//!
//! The first part holds the metadata; the others hold these keys, and whatever else they hold must agree with the first.
//! Source: the split files that ggml's `gguf-split` and the `gguf` package write.

use crate::error::{LoadError, SplitFault};
use crate::gguf::Contents;
use crate::map::OpenOptions;
use crate::metadata::Metadata;
use crate::part::Part;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Which part, from 0.
pub const SPLIT_NO: &str = "split.no";
/// How many parts.
pub const SPLIT_COUNT: &str = "split.count";
/// Tensors of all parts together.
pub const SPLIT_TENSORS: &str = "split.tensors.count";

/// What a part says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SplitKeys {
    /// From 0.
    no: u64,
    count: u64,
    tensors: u64,
}

impl SplitKeys {
    /// `None` for a whole file.
    pub fn read(meta: &Metadata<'_>) -> Result<Option<Self>, LoadError> {
        match meta.u64(SPLIT_COUNT)? {
            None | Some(0 | 1) => Ok(None),
            Some(count) => {
                let (no, tensors) = (meta.require_u64(SPLIT_NO)?, meta.require_u64(SPLIT_TENSORS)?);
                Ok(Some(Self { no, count, tensors }))
            }
        }
    }
}

/// The path of part `no` (from 1) of `count`, where `path` is that of one of the parts or of the whole file.
pub fn part_path(path: &Path, no: u64, count: u64) -> PathBuf {
    let stem = Name::of(path).map_or_else(
        || path.file_stem().map_or(String::new(), |s| s.to_string_lossy().into_owned()),
        |n| n.stem.to_owned(),
    );
    path.with_file_name(format!("{stem}-{no:05}-of-{count:05}.gguf"))
}

/// A part's name taken apart.
struct Name<'a> {
    stem: &'a str,
    /// From 1.
    no: u64,
    count: u64,
}

impl<'a> Name<'a> {
    fn of(path: &'a Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.strip_suffix(".gguf")?;
        let (rest, count) = number(name)?;
        let (stem, no) = number(rest.strip_suffix("-of")?)?;
        Some(Self { stem, no, count })
    }
}

/// Takes `-00007` off the end.
fn number(text: &str) -> Option<(&str, u64)> {
    let (rest, digits) = text.rsplit_once('-')?;
    let plain = digits.len() == 5 && digits.bytes().all(|b| b.is_ascii_digit());
    Some((rest, digits.parse().ok().filter(|_| plain)?))
}

/// An error unless name and metadata of a part say the same.
fn check_name(path: &Path, keys: SplitKeys) -> Result<(), LoadError> {
    let (no, count) = (keys.no.saturating_add(1), keys.count);
    let fault = match Name::of(path) {
        None => SplitFault::Name { no, count },
        Some(n) if (n.no, n.count) == (no, count) && no <= count => return Ok(()),
        Some(n) => SplitFault::Number { name_no: n.no, name_count: n.count, no, count },
    };
    Err(LoadError::Split { path: path.to_owned(), fault })
}

/// Links behind each other that are followed, as many as Linux does.
const LINKS: usize = 40;

/// The path with a part's name that a symbolic link of another name stands for, beside which the other parts are.
fn behind_links(path: &Path, keys: SplitKeys) -> Option<PathBuf> {
    let mut at = path.to_owned();
    for _ in 0..LINKS {
        let to = at.read_link().ok()?;
        at = at.parent().unwrap_or(Path::new("")).join(to);
        if check_name(&at, keys).is_ok() {
            return Some(at);
        }
    }
    None
}

/// Opens the other parts of the file that `given`, at `path`, is one of; the parts in order, and what they hold together.
pub(crate) fn open(
    path: &Path,
    options: &OpenOptions,
    given: Part,
    contents: Contents,
    keys: SplitKeys,
) -> Result<(Vec<Part>, Contents), LoadError> {
    if let Err(e) = check_name(path, keys) {
        // Opened anew, as a part knows its path.
        let real = behind_links(path, keys).ok_or(e)?;
        let (given, contents) = Part::open(&real, options)?;
        let meta = Metadata { data: given.bytes(), entries: &contents.entries };
        let keys = SplitKeys::read(&meta)?;
        let Some(keys) = keys else { return Err(LoadError::Split { path: real, fault: SplitFault::Whole }) };
        return open(&real, options, given, contents, keys);
    }
    let mut given = Some((given, contents));
    let mut parts: Vec<Part> = Vec::new();
    let mut whole: Option<Contents> = None;
    for no in 0..keys.count {
        let at = part_path(path, no + 1, keys.count);
        let (part, contents) = match given.take() {
            Some(g) if no == keys.no => g,
            other => {
                given = other;
                Part::open(&at, options).map_err(|e| match e {
                    LoadError::Io { source, .. } if source.kind() == ErrorKind::NotFound => {
                        let fault = SplitFault::Missing { no: no + 1, count: keys.count };
                        LoadError::Split { path: at.clone(), fault }
                    }
                    e => e.of_part(&at),
                })?
            }
        };
        let meta = Metadata { data: part.bytes(), entries: &contents.entries };
        let fail = |fault| Err(LoadError::Split { path: at.clone(), fault });
        match SplitKeys::read(&meta).map_err(|e| e.of_part(&at))? {
            None => return fail(SplitFault::Whole),
            Some(k) => check_name(&at, k)?,
        }
        match (&mut whole, parts.first()) {
            (Some(whole), Some(first)) => {
                let first_path = || first.path().unwrap_or(path).to_owned();
                let known = Metadata { data: first.bytes(), entries: &whole.entries };
                if let Some(key) = disagreement(&known, &meta) {
                    return fail(SplitFault::Foreign { key, first: first_path() });
                }
                let index = parts.len();
                if let Err(name) = whole.tensors.append(index, contents.tensors) {
                    let earlier = whole.tensors.get(&name).and_then(|t| parts.get(t.part)).and_then(Part::path);
                    return fail(SplitFault::Tensor { name, first: earlier.map_or_else(first_path, Path::to_owned) });
                }
            }
            _ => whole = Some(contents),
        }
        parts.push(part);
    }
    // There are two parts at least.
    let (Some(whole), Some(first)) = (whole, parts.first()) else {
        return Err(LoadError::MissingKey(SPLIT_COUNT.to_owned()));
    };
    let have = whole.tensors.list.len() as u64;
    if have != keys.tensors {
        let fault = SplitFault::Tensors { want: keys.tensors, have };
        return Err(LoadError::Split { path: first.path().unwrap_or(path).to_owned(), fault });
    }
    Ok((parts, whole))
}

/// A key of which a further part has another value than the first. What is a part's own is left out.
fn disagreement(first: &Metadata<'_>, other: &Metadata<'_>) -> Option<String> {
    let own = [SPLIT_NO, "general.alignment"];
    let differs = |(key, value): &(&str, _)| !own.contains(key) && first.get(key).is_some_and(|v| v != *value);
    other.iter().find(differs).map(|(key, _)| key.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart_and_made() {
        let n = Name::of(Path::new("a/b-c-00002-of-00003.gguf")).unwrap();
        assert_eq!((n.stem, n.no, n.count), ("b-c", 2, 3));
        for other in ["b.gguf", "b-00001.gguf", "b-1-of-3.gguf", "b-00001-of-00003.bin", "b-+0001-of-00003.gguf"] {
            assert!(Name::of(Path::new(other)).is_none(), "{other}");
        }
        let want = Path::new("a/b-00001-of-00012.gguf");
        assert_eq!(part_path(Path::new("a/b-00002-of-00003.gguf"), 1, 12), want);
        assert_eq!(part_path(Path::new("a/b.gguf"), 1, 12), want);
    }
}
