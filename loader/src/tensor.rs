//! The tensor directory.

use crate::dtype::TensorType;
use crate::error::{LoadError, Shown};
use crate::reader::Reader;
use std::collections::HashMap;

/// One tensor of the directory; everything here was checked against the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Its name.
    pub name: String,
    /// Its dimensions in file order: `dims[0]` is the length of a row, `dims[1]` the number of rows.
    pub dims: Vec<u64>,
    /// Its number format.
    pub dtype: TensorType,
    /// Which part of a split file it is in, from 0.
    pub part: usize,
    /// Where its bytes start, from the start of that file.
    pub offset: u64,
    /// How many bytes it has.
    pub bytes: u64,
}

impl TensorInfo {
    /// Length of a row.
    pub fn cols(&self) -> u64 {
        self.dims[0]
    }

    /// Number of rows, over all further dimensions.
    pub fn rows(&self) -> u64 {
        self.dims[1..].iter().product()
    }

    /// Number of weights.
    pub fn elements(&self) -> u64 {
        self.dims.iter().product()
    }

    /// Reads an entry; `offset` is still relative to the data part.
    pub(crate) fn read(r: &mut Reader<'_>) -> Result<(Self, usize), LoadError> {
        let at = r.at;
        let name = r.string(&|| "a tensor name".into())?;
        let name = match std::str::from_utf8(name) {
            Ok(n) if !n.is_empty() => n.to_owned(),
            _ => return Err(LoadError::Name { what: "a tensor name", at }),
        };
        let what = || format!("the directory entry of tensor {}", Shown(&name));
        let n = r.u32(&what)?;
        let bad = |dims: &[u64], reason: &str| {
            let (name, dims, reason) = (name.clone(), dims.to_vec(), reason.to_owned());
            LoadError::Dims { name, dims, reason, at }
        };
        if n == 0 || n > 4 {
            return Err(bad(&[], &format!("there are {n} of them, not one to four")));
        }
        let mut dims = Vec::with_capacity(n as usize);
        let mut elements = 1u64;
        for _ in 0..n {
            let d = if r.wide { r.u64(&what)? } else { u64::from(r.u32(&what)?) };
            dims.push(d);
            if d == 0 {
                return Err(bad(&dims, "one of them is zero"));
            }
            elements = elements.checked_mul(d).ok_or_else(|| bad(&dims, "their product overflows"))?;
        }
        let id_at = r.at;
        let id = r.u32(&what)?;
        let Some(dtype) = TensorType::from_id(id) else {
            let status = if TensorType::is_removed(id) { "removed from the format" } else { "unknown" };
            return Err(LoadError::TensorType { name, id, status, at: id_at });
        };
        let (cols, block) = (dims[0], dtype.block_len());
        if !cols.is_multiple_of(block) {
            return Err(LoadError::RowLength { name, cols, block, format: dtype.name(), at });
        }
        let bytes = dtype.bytes(elements).ok_or_else(|| bad(&dims, "its size in bytes overflows"))?;
        let offset = r.u64(&what)?;
        Ok((Self { name, dims, dtype, part: 0, offset, bytes }, at))
    }
}

/// The directory: tensors in file order, and an index by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Directory {
    pub list: Vec<TensorInfo>,
    pub index: HashMap<String, usize>,
    /// Where each entry is, for messages.
    entries: Vec<usize>,
}

impl Directory {
    pub fn push(&mut self, t: TensorInfo, at: usize) -> Result<(), LoadError> {
        if self.index.insert(t.name.clone(), self.list.len()).is_some() {
            return Err(LoadError::Duplicate { what: "tensor", name: t.name, at });
        }
        self.list.push(t);
        self.entries.push(at);
        Ok(())
    }

    /// The tensor of this name.
    pub fn get(&self, name: &str) -> Option<&TensorInfo> {
        self.index.get(name).map(|i| &self.list[*i])
    }

    /// Appends the placed tensors of a further part; gives back the name that is in both.
    pub fn append(&mut self, part: usize, other: Self) -> Result<(), String> {
        for (t, at) in other.list.into_iter().zip(other.entries) {
            if self.index.contains_key(&t.name) {
                return Err(t.name);
            }
            self.index.insert(t.name.clone(), self.list.len());
            self.list.push(TensorInfo { part, ..t });
            self.entries.push(at);
        }
        Ok(())
    }

    /// Checks that every tensor lies aligned within the data part `start..len` and shares no byte with another, and
    /// makes the offsets absolute.
    pub fn place(&mut self, start: u64, len: u64, alignment: u64) -> Result<(), LoadError> {
        let available = len.saturating_sub(start);
        for (t, &at) in self.list.iter_mut().zip(&self.entries) {
            if !t.offset.is_multiple_of(alignment) {
                return Err(LoadError::Misaligned { name: t.name.clone(), offset: t.offset, alignment, at });
            }
            if t.offset > available || t.bytes > available - t.offset {
                let (name, offset, bytes) = (t.name.clone(), t.offset, t.bytes);
                return Err(LoadError::OutOfFile { name, offset, bytes, available, at });
            }
            t.offset += start;
        }
        let mut order: Vec<&TensorInfo> = self.list.iter().collect();
        order.sort_by_key(|t| t.offset);
        match order.windows(2).find(|w| w[0].offset + w[0].bytes > w[1].offset) {
            Some(w) => Err(LoadError::Overlap { first: w[0].name.clone(), second: w[1].name.clone(), at: w[1].offset }),
            None => Ok(()),
        }
    }
}
