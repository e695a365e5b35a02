//! The header's bytes (drawn in the module above): written from a plan, and read without believing anything.
//!
//! The *stamp* holds the modification time of a source that was compared with the checksums byte by byte, so that a
//! copied model is compared once and not at each start. It is rewritten in place, hence outside the header's checksum
//! and with a check of its own: where it is torn or wrong, the source is compared once more.

use super::error::PackError;
use super::identity::Identity;
use super::plan::Plan;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

pub(crate) const MAGIC: &[u8; 8] = b"HEWNPACK";
pub(crate) const VERSION: u32 = 1;
/// Where the stamp is.
pub(crate) const STAMP: std::ops::Range<usize> = 32..48;
const NAME: std::ops::Range<usize> = 72..168;
const FIXED: usize = NAME.end;
/// A tensor's part without its name.
const ENTRY: usize = 2 + 4 + 4 + 6 * 8;
/// No model has so many tensors with such long names.
const MAX: u64 = 64 << 20;

/// What the header says of one tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub name: String,
    pub format: u32,
    pub rows: u64,
    pub cols: u64,
    pub offset: u64,
    pub bytes: u64,
    /// The checksums of the packed and of the source's bytes, once it is written.
    pub sums: Option<[u64; 2]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub file_len: u64,
    pub identity: Identity,
    pub source_name: String,
    /// Modification time of the source last compared; 0 for none.
    pub stamp: i64,
    pub entries: Vec<Entry>,
}

/// Length of a header of tensors with these names.
pub(crate) fn len<'a>(names: impl Iterator<Item = &'a str>) -> u64 {
    (FIXED + 8) as u64 + names.map(|n| (ENTRY + n.len()) as u64).sum::<u64>()
}

impl Header {
    /// The header of a file of which nothing is written yet.
    pub fn new(plan: &Plan, identity: Identity, stamp: i64) -> Self {
        let entries = plan.items.iter().map(|i| Entry {
            name: i.target.tensor.name.clone(),
            format: i.target.format.id(),
            rows: i.target.rows as u64,
            cols: i.target.cols as u64,
            offset: i.offset,
            bytes: i.bytes,
            sums: None,
        });
        let (file_len, source_name) = (plan.file_len(), plan.source_name());
        Self { file_len, identity, source_name, stamp, entries: entries.collect() }
    }

    /// An error unless this is the header of that plan's file, whatever of it is written.
    pub fn check(&self, plan: &Plan, identity: &Identity) -> Result<(), PackError> {
        let stale = |what: &str| Err(PackError::Stale(what.to_owned()));
        let want = Self::new(plan, *identity, 0);
        let same = |a: &Entry, b: &Entry| Entry { sums: None, ..a.clone() } == *b;
        match () {
            () if self.identity.len != identity.len => stale("it had another length"),
            () if self.identity.head != identity.head => stale("it had other metadata or tensors"),
            () if self.identity.edges != identity.edges => stale("it had other weights"),
            () if self.entries.len() != want.entries.len() => stale("it had other matrices"),
            () if !self.entries.iter().zip(&want.entries).all(|(a, b)| same(a, b)) => stale("it had other matrices"),
            () if self.file_len != want.file_len => stale("its matrices had other sizes"),
            () => Ok(()),
        }
    }

    pub fn encode(&self) -> Vec<u8> {
        let len = len(self.entries.iter().map(|e| e.name.as_str()));
        let mut out = Vec::with_capacity(len as usize);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&(self.entries.len() as u32).to_le_bytes());
        for v in [len, self.file_len, 0, 0, self.identity.len, self.identity.head, self.identity.edges] {
            out.extend_from_slice(&v.to_le_bytes());
        }
        // Cut off where it is too long, perhaps within a character, which reading makes good.
        let name = self.source_name.as_bytes();
        out.extend_from_slice(&name[..name.len().min(NAME.len())]);
        out.resize(FIXED, 0);
        for e in &self.entries {
            // Names of matrices are the architecture's and short.
            out.extend_from_slice(&(e.name.len() as u16).to_le_bytes());
            out.extend_from_slice(e.name.as_bytes());
            out.extend_from_slice(&e.format.to_le_bytes());
            out.extend_from_slice(&u32::from(e.sums.is_some()).to_le_bytes());
            let [packed, source] = e.sums.unwrap_or_default();
            for v in [e.rows, e.cols, e.offset, e.bytes, packed, source] {
                out.extend_from_slice(&v.to_le_bytes());
            }
        }
        let sum = checksum(&out);
        out.extend_from_slice(&sum.to_le_bytes());
        out[STAMP].copy_from_slice(&stamp(self.stamp, sum));
        out
    }

    /// Reads the header of an open file, which may be growing: it is not mapped.
    pub fn read(file: &File, path: &Path) -> Result<Self, PackError> {
        let io = PackError::io("read", path);
        let mut data = Vec::new();
        // Far more than any real model needs, and bounded by the file's length.
        let room = file.metadata().map_err(&io)?.len().min(MAX);
        let mut file = file.take(FIXED as u64);
        file.read_to_end(&mut data).map_err(&io)?;
        if let Some(len) = data.get(16..24).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes) {
            file.set_limit(len.min(room).saturating_sub(FIXED as u64));
            file.read_to_end(&mut data).map_err(io)?;
        }
        Self::decode(&data)
    }

    /// Reads the header at the start of `data`, which may be more of the file, or less.
    pub fn decode(data: &[u8]) -> Result<Self, PackError> {
        let damaged = |what: &str| PackError::Damaged(what.to_owned());
        let mut r = Reader { data, at: 0 };
        if r.take(8)? != MAGIC {
            return Err(damaged("it does not begin like a packed file"));
        }
        let version = r.u32()?;
        if version != VERSION {
            return Err(PackError::Version { found: version, supported: VERSION });
        }
        let count = r.u32()? as usize;
        let header_len = r.u64()?;
        let end = usize::try_from(header_len).ok().filter(|n| header_len <= MAX && *n <= data.len());
        let end = end.ok_or_else(|| damaged("its header is cut off"))?;
        if end < FIXED + 8 || count > (end - FIXED - 8) / ENTRY {
            return Err(damaged("its header is too short"));
        }
        let sum = Reader { data, at: end - 8 }.u64()?;
        if checksum(&data[..end - 8]) != sum {
            return Err(damaged("the checksum of its header does not match"));
        }
        r.data = &data[..end - 8];
        let file_len = r.u64()?;
        let time = r.u64()? as i64;
        let stamp = if stamp(time, sum) == data[STAMP] { time } else { 0 };
        r.at = STAMP.end;
        let identity = Identity { len: r.u64()?, head: r.u64()?, edges: r.u64()? };
        let name = r.take(NAME.len())?;
        let name = &name[..name.iter().position(|b| *b == 0).unwrap_or(name.len())];
        let source_name = String::from_utf8_lossy(name).into_owned();
        let entries = (0..count).map(|_| r.entry()).collect::<Result<_, _>>()?;
        if r.at != r.data.len() {
            return Err(damaged("its header is too long"));
        }
        Ok(Self { file_len, identity, source_name, stamp, entries })
    }
}

/// The stamp's bytes; its check ties it to the header with this checksum.
pub(crate) fn stamp(time: i64, sum: u64) -> [u8; 16] {
    let mut out = [0; 16];
    out[..8].copy_from_slice(&time.to_le_bytes());
    let check = xxh3_64(&[time.to_le_bytes(), sum.to_le_bytes()].concat());
    out[8..].copy_from_slice(&check.to_le_bytes());
    out
}

/// Of everything but the stamp.
fn checksum(header: &[u8]) -> u64 {
    let mut sum = Xxh3::new();
    sum.update(&header[..STAMP.start]);
    sum.update(&header[STAMP.end..]);
    sum.digest()
}

struct Reader<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], PackError> {
        let end = self.at.checked_add(n);
        let part = end.and_then(|end| self.data.get(self.at..end));
        self.at = end.unwrap_or(self.at);
        part.ok_or_else(|| PackError::Damaged("its header is cut off".into()))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], PackError> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    fn u32(&mut self) -> Result<u32, PackError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, PackError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn entry(&mut self) -> Result<Entry, PackError> {
        let damaged = |what: &str| PackError::Damaged(what.to_owned());
        let len = u16::from_le_bytes(self.array()?);
        let name = std::str::from_utf8(self.take(len.into())?).map_err(|_| damaged("a name in it is not text"))?;
        let format = self.u32()?;
        let written = match self.u32()? {
            0 => false,
            1 => true,
            _ => return Err(damaged("a tensor in it is neither written nor unwritten")),
        };
        let (rows, cols, offset, bytes) = (self.u64()?, self.u64()?, self.u64()?, self.u64()?);
        let sums = [self.u64()?, self.u64()?];
        Ok(Entry { name: name.to_owned(), format, rows, cols, offset, bytes, sums: written.then_some(sums) })
    }
}
