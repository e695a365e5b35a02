//! Opening a GGUF file: header, metadata, directory, in that order, each checked before the next believes it.
//!
//! ```text
//! "GGUF" version(u32) tensors(count) pairs(count)
//! pairs    x { key(string) type(u32) value }
//! tensors  x { name(string) n(u32) dims(n x count) type(u32) offset(u64) }
//! padding to general.alignment
//! data     tensors at their offsets from here
//! ```
//!
//! A count is 8 bytes, in version 1 it is 4. Source: the GGUF specification.

use crate::error::{LoadError, Shown};
use crate::map::{OpenOptions, Source};
use crate::metadata::{Entries, Entry, Metadata};
use crate::reader::Reader;
use crate::tensor::{Directory, TensorInfo};
use crate::value::{Value, ValueType};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

const DEFAULT_ALIGNMENT: u64 = 32;

/// An opened GGUF file. Immutable; tensors and metadata are views of the mapped bytes.
#[derive(Debug)]
pub struct Gguf {
    source: Source,
    path: Option<PathBuf>,
    modified: Option<SystemTime>,
    version: u32,
    alignment: u64,
    entries: Entries,
    tensors: Directory,
}

impl Gguf {
    /// Opens and checks the file at `path`.
    ///
    /// # Errors
    /// Anything about the file that cannot be believed.
    pub fn open(path: &Path, options: &OpenOptions) -> Result<Self, LoadError> {
        let (source, file) = Source::open(path, options)?;
        let mut this = Self::parse(source, Some(path.to_owned()))?;
        this.source.check_len(path, &file)?;
        this.modified = file.metadata().and_then(|m| m.modified()).ok();
        Ok(this)
    }

    /// Checks a file that is in memory.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, LoadError> {
        Self::parse(Source::Owned(bytes), None)
    }

    fn parse(source: Source, path: Option<PathBuf>) -> Result<Self, LoadError> {
        let data = source.bytes();
        let mut r = Reader { data, at: 0, wide: true };
        if data.get(..4) != Some(b"GGUF") {
            return Err(LoadError::Magic { found: data[..data.len().min(4)].to_vec() });
        }
        r.at = 4;
        let version = r.u32(&|| "the version".into())?;
        match version {
            1 => r.wide = false,
            2 | 3 => {}
            v if (1..=3).contains(&v.swap_bytes()) => return Err(LoadError::BigEndian(v.swap_bytes())),
            v => return Err(LoadError::Version(v)),
        }
        let prefix = if r.wide { 8 } else { 4 };
        // The least an entry can take: a name of one byte, and the fixed fields.
        let tensors = r.count(prefix + 1 + 4 + prefix + 4 + 8, &|| "the number of tensors".into())?;
        let pairs = r.count(prefix + 1 + 4 + 1, &|| "the number of metadata pairs".into())?;
        let entries = read_pairs(&mut r, pairs)?;
        let alignment = alignment(&Metadata { data, entries: &entries })?;
        let mut directory = Directory::default();
        for _ in 0..tensors {
            let (t, at) = TensorInfo::read(&mut r)?;
            directory.push(t, at)?;
        }
        let start = (r.at as u64).next_multiple_of(alignment);
        directory.place(start, data.len() as u64, alignment)?;
        Ok(Self { source, path, modified: None, version, alignment, entries, tensors: directory })
    }

    /// The format's version: 1, 2 or 3.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// What tensor offsets are multiples of.
    pub fn alignment(&self) -> u64 {
        self.alignment
    }

    /// Length of the file in bytes.
    pub fn file_len(&self) -> u64 {
        self.source.bytes().len() as u64
    }

    /// Where it was opened from.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// When the file was last written, as it was opened; `None` where nobody knows.
    pub fn modified(&self) -> Option<SystemTime> {
        self.modified
    }

    /// Everything before the first tensor's bytes: metadata and directory.
    pub fn head(&self) -> &[u8] {
        let data = self.source.bytes();
        let end = self.tensors.list.iter().map(|t| t.offset).min().and_then(|n| usize::try_from(n).ok());
        end.and_then(|n| data.get(..n)).unwrap_or(data)
    }

    /// Tells the system that this process will hardly read the tensor's bytes again. They stay readable.
    pub fn release(&self, t: &TensorInfo) {
        self.source.release(t.offset, t.bytes);
    }

    /// Whether it is mapped (not read into memory).
    pub fn is_mapped(&self) -> bool {
        matches!(self.source, Source::Map(_))
    }

    /// The key/value pairs.
    pub fn metadata(&self) -> Metadata<'_> {
        Metadata { data: self.source.bytes(), entries: &self.entries }
    }

    /// The tensors in file order.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.tensors.list
    }

    /// The tensor of this name.
    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors.index.get(name).map(|i| &self.tensors.list[*i])
    }

    /// A tensor's bytes; empty for a tensor that is not of this file's extent.
    pub fn tensor_data(&self, t: &TensorInfo) -> &[u8] {
        let range = usize::try_from(t.offset).ok().zip(usize::try_from(t.offset.saturating_add(t.bytes)).ok());
        range.and_then(|(a, b)| self.source.bytes().get(a..b)).unwrap_or(&[])
    }
}

fn read_pairs(r: &mut Reader<'_>, pairs: u64) -> Result<Entries, LoadError> {
    let mut entries = Entries { wide: r.wide, ..Entries::default() };
    for i in 0..pairs {
        let at = r.at;
        let key = r.string(&|| format!("key {i}"))?;
        let range = r.at - key.len()..r.at;
        let key = match std::str::from_utf8(key) {
            Ok(k) if !k.is_empty() => k,
            _ => return Err(LoadError::Name { what: "a metadata key", at }),
        };
        let type_at = r.at;
        let id = r.u32(&|| format!("the type of {}", Shown(key)))?;
        let Some(kind) = ValueType::from_id(id) else {
            return Err(LoadError::ValueType { key: key.into(), id, at: type_at });
        };
        let start = r.at;
        Value::read(r, kind, key, 0)?;
        if entries.index.insert(key.to_owned(), entries.list.len()).is_some() {
            return Err(LoadError::Duplicate { what: "key", name: key.into(), at });
        }
        entries.list.push(Entry { key: range, kind, value: start..r.at });
    }
    Ok(entries)
}

fn alignment(meta: &Metadata<'_>) -> Result<u64, LoadError> {
    const KEY: &str = "general.alignment";
    match meta.u64(KEY)? {
        None => Ok(DEFAULT_ALIGNMENT),
        Some(a) if a.is_power_of_two() && (8..=65536).contains(&a) => Ok(a),
        Some(value) => Err(LoadError::Alignment { value, at: meta.place(KEY) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of version 1 or later, with a list, a nested list, and two tensors; lengths as wide as the version has them.
    fn file(version: u32) -> Vec<u8> {
        let len = |n: u64| if version == 1 { (n as u32).to_le_bytes().to_vec() } else { n.to_le_bytes().to_vec() };
        let string = |s: &str| [&len(s.len() as u64)[..], s.as_bytes()].concat();
        let u32s = |v: &[u32]| v.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        let mut out = [&b"GGUF"[..], &u32s(&[version]), &len(2), &len(3)].concat();
        out.extend([string("n"), u32s(&[4, 77])].concat());
        out.extend([string("list"), u32s(&[9, 8]), len(2), string("ab"), string("")].concat());
        out.extend([string("deep"), u32s(&[9, 9]), len(2)].concat());
        out.extend([u32s(&[0]), len(3), vec![1, 2, 3], u32s(&[5]), len(1), u32s(&[9])].concat());
        out.extend([string("a"), u32s(&[2]), len(3), len(2), u32s(&[0]), 64u64.to_le_bytes().to_vec()].concat());
        out.extend([string("b"), u32s(&[1]), len(32), u32s(&[8]), 0u64.to_le_bytes().to_vec()].concat());
        out.resize(out.len().next_multiple_of(32), 0);
        out.extend([&[1; 34][..], &[0; 30], &[2; 24]].concat());
        out
    }

    #[test]
    fn every_version_reads() {
        for version in 1..=3 {
            let g = Gguf::from_bytes(file(version)).unwrap();
            let m = g.metadata();
            assert_eq!((g.version(), g.alignment(), m.require_u32("n").unwrap()), (version, 32, 77));
            let list = m.require_array("list").unwrap();
            assert_eq!(list.strings().unwrap().collect::<Vec<_>>(), [&b"ab"[..], b""]);
            let deep = m.require_array("deep").unwrap();
            let inner: Vec<Vec<i64>> = deep
                .iter()
                .map(|v| if let Value::Array(a) = v { a.ints().unwrap().collect() } else { vec![] })
                .collect();
            assert_eq!(inner, [vec![1, 2, 3], vec![9]]);
            assert!(deep.strings().is_none() && deep.ints().is_none() && list.f32s().is_none());
            let (a, b) = (g.tensor("a").unwrap(), g.tensor("b").unwrap());
            assert_eq!((a.cols(), a.rows(), a.elements(), a.dtype.name()), (3, 2, 6, "F32"));
            assert_eq!((g.tensor_data(a), g.tensor_data(b)), (&[2; 24][..], &[1; 34][..]));
            assert!(g.tensor("c").is_none() && g.path().is_none() && !g.is_mapped());
        }
    }
}
