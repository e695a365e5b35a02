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

use crate::error::{LoadError, Shown, SplitFault};
use crate::map::{OpenOptions, Source};
use crate::metadata::{Entries, Entry, Metadata};
use crate::part::Part;
use crate::reader::Reader;
use crate::split::{self, SplitKeys};
use crate::tensor::{Directory, TensorInfo};
use crate::value::{Value, ValueType};
use std::path::Path;

const DEFAULT_ALIGNMENT: u64 = 32;

/// An opened GGUF file, or all parts of a split one. Immutable; tensors and metadata are views of the mapped bytes.
#[derive(Debug)]
pub struct Gguf {
    /// One, or the parts of a split file in order.
    parts: Vec<Part>,
    /// What the first part says, with the tensors of all.
    contents: Contents,
}

/// What is before the data of one file.
#[derive(Debug)]
pub(crate) struct Contents {
    pub version: u32,
    pub alignment: u64,
    pub entries: Entries,
    pub tensors: Directory,
}

impl Gguf {
    /// Opens and checks the file at `path`. Where it is one part of a split file (`NAME-00001-of-00003.gguf`, any of
    /// them), the others are opened and checked too: see [`parts`](Self::parts).
    ///
    /// # Errors
    /// Anything about the file that cannot be believed, or about one of the parts.
    pub fn open(path: &Path, options: &OpenOptions) -> Result<Self, LoadError> {
        let (part, contents) = Part::open(path, options)?;
        let meta = Metadata { data: part.bytes(), entries: &contents.entries };
        match SplitKeys::read(&meta)? {
            None => Ok(Self { parts: vec![part], contents }),
            Some(keys) => {
                let (parts, contents) = split::open(path, options, part, contents, keys)?;
                Ok(Self { parts, contents })
            }
        }
    }

    /// Checks a file that is in memory.
    ///
    /// # Errors
    /// As for [`open`](Self::open); a part of a split file, as nothing says where the others are.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, LoadError> {
        Self::in_memory(Source::Owned(bytes))
    }

    /// Checks a file that is part of the program, as `include_bytes!` makes it. Nothing is copied: like the rest of a
    /// program, its pages are read from the disk as they are needed, and shared by all processes that run it. Kernels
    /// read it fastest where it begins at a multiple of 64 bytes.
    ///
    /// # Errors
    /// As for [`from_bytes`](Self::from_bytes).
    pub fn from_static(bytes: &'static [u8]) -> Result<Self, LoadError> {
        Self::in_memory(Source::Static(bytes))
    }

    fn in_memory(source: Source) -> Result<Self, LoadError> {
        let (part, contents) = Part::parse(source)?;
        let meta = Metadata { data: part.bytes(), entries: &contents.entries };
        match SplitKeys::read(&meta)? {
            None => Ok(Self { parts: vec![part], contents }),
            Some(_) => Err(LoadError::Split { path: "the file in memory".into(), fault: SplitFault::Memory }),
        }
    }

    /// The format's version: 1, 2 or 3; the first part's.
    pub fn version(&self) -> u32 {
        self.contents.version
    }

    /// What tensor offsets are multiples of; the first part's.
    pub fn alignment(&self) -> u64 {
        self.contents.alignment
    }

    /// The files that it consists of: one, or the parts of a split file in order. There is at least one.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Length of the file in bytes, of all parts together.
    pub fn file_len(&self) -> u64 {
        self.parts.iter().map(Part::file_len).fold(0, u64::saturating_add)
    }

    /// Where it was opened from; the first part's path, whichever was given.
    pub fn path(&self) -> Option<&Path> {
        self.parts.first()?.path()
    }

    /// Tells the system that this process will hardly read the tensor's bytes again. They stay readable.
    pub fn release(&self, t: &TensorInfo) {
        if let Some(part) = self.parts.get(t.part) {
            part.release(t);
        }
    }

    /// Whether it is mapped (not read into memory).
    pub fn is_mapped(&self) -> bool {
        self.parts.iter().all(Part::is_mapped)
    }

    /// The key/value pairs; the first part's.
    pub fn metadata(&self) -> Metadata<'_> {
        let data = self.parts.first().map_or(&[][..], Part::bytes);
        Metadata { data, entries: &self.contents.entries }
    }

    /// The tensors in file order, part by part.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.contents.tensors.list
    }

    /// The tensor of this name.
    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.contents.tensors.get(name)
    }

    /// A tensor's bytes; empty for a tensor that is not of this file's extent.
    pub fn tensor_data(&self, t: &TensorInfo) -> &[u8] {
        self.parts.get(t.part).map_or(&[], |part| part.tensor_data(t))
    }
}

impl Contents {
    /// Reads and checks everything before the data of a file.
    pub fn parse(data: &[u8]) -> Result<Self, LoadError> {
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
        Ok(Self { version, alignment, entries, tensors: directory })
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
