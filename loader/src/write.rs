//! Writing GGUF version 3: for generators, tests and converters.

use crate::dtype::TensorType;
use crate::value::{MAX_NESTING, Value, ValueType};
use std::collections::HashSet;
use std::io::{Error, ErrorKind, Result, Write};

/// A metadata value to be written.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // the names say it
pub enum MetaValue {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    F32(f32),
    Bool(bool),
    Str(String),
    /// A string that need not be UTF-8.
    Bytes(Vec<u8>),
    /// Elements of one type; empty arrays are written as arrays of u32.
    Array(Vec<MetaValue>),
    U64(u64),
    I64(i64),
    F64(f64),
}

impl MetaValue {
    fn kind(&self) -> ValueType {
        match self {
            Self::U8(_) => ValueType::U8,
            Self::I8(_) => ValueType::I8,
            Self::U16(_) => ValueType::U16,
            Self::I16(_) => ValueType::I16,
            Self::U32(_) => ValueType::U32,
            Self::I32(_) => ValueType::I32,
            Self::F32(_) => ValueType::F32,
            Self::Bool(_) => ValueType::Bool,
            Self::Str(_) | Self::Bytes(_) => ValueType::Str,
            Self::Array(_) => ValueType::Array,
            Self::U64(_) => ValueType::U64,
            Self::I64(_) => ValueType::I64,
            Self::F64(_) => ValueType::F64,
        }
    }

    fn write(&self, out: &mut Vec<u8>, depth: usize) -> Result<()> {
        match self {
            Self::U8(v) => out.push(*v),
            Self::I8(v) => out.extend(v.to_le_bytes()),
            Self::U16(v) => out.extend(v.to_le_bytes()),
            Self::I16(v) => out.extend(v.to_le_bytes()),
            Self::U32(v) => out.extend(v.to_le_bytes()),
            Self::I32(v) => out.extend(v.to_le_bytes()),
            Self::F32(v) => out.extend(v.to_le_bytes()),
            Self::Bool(v) => out.push(u8::from(*v)),
            Self::Str(v) => string(out, v.as_bytes()),
            Self::Bytes(v) => string(out, v),
            Self::U64(v) => out.extend(v.to_le_bytes()),
            Self::I64(v) => out.extend(v.to_le_bytes()),
            Self::F64(v) => out.extend(v.to_le_bytes()),
            Self::Array(items) => {
                if depth >= MAX_NESTING {
                    return Err(misuse(format!("arrays nested deeper than {MAX_NESTING}")));
                }
                let kind = items.first().map_or(ValueType::U32, Self::kind);
                if items.iter().any(|i| i.kind() != kind) {
                    return Err(misuse("an array of values of different types"));
                }
                out.extend((kind as u32).to_le_bytes());
                out.extend((items.len() as u64).to_le_bytes());
                items.iter().try_for_each(|i| i.write(out, depth + 1))?;
            }
        }
        Ok(())
    }
}

fn string(out: &mut Vec<u8>, s: &[u8]) {
    out.extend((s.len() as u64).to_le_bytes());
    out.extend(s);
}

fn misuse(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidInput, what.into())
}

/// Collects metadata and a tensor directory, then streams the file out. Tensor data is passed in at the end, in the
/// order of the declarations, so that nothing large is ever held.
#[derive(Clone, Debug)]
pub struct GgufWriter {
    pairs: Vec<u8>,
    keys: HashSet<String>,
    directory: Vec<u8>,
    names: HashSet<String>,
    sizes: Vec<u64>,
    end: u64,
    alignment: u64,
}

impl Default for GgufWriter {
    fn default() -> Self {
        Self::new()
    }
}

impl GgufWriter {
    /// An empty file with the default alignment of 32.
    pub fn new() -> Self {
        Self {
            pairs: Vec::new(),
            keys: HashSet::new(),
            directory: Vec::new(),
            names: HashSet::new(),
            sizes: Vec::new(),
            end: 0,
            alignment: 32,
        }
    }

    /// Adds a key/value pair. `general.alignment` takes effect for the tensors, and must come before them. After an
    /// error everything is as before.
    ///
    /// # Errors
    /// A key that was added before, a mixed array, a bad alignment.
    pub fn meta(&mut self, key: &str, value: MetaValue) -> Result<()> {
        let mut body = Vec::new();
        value.write(&mut body, 0)?;
        let number = if let MetaValue::U32(n) = value { Some(n) } else { None };
        self.pair(key, value.kind(), &body, number)
    }

    /// Adds a key/value pair as it is in another file, for a copy of it. `general.alignment` may have any integer type.
    ///
    /// # Errors
    /// As for [`meta`](Self::meta).
    pub fn value(&mut self, key: &str, value: &Value<'_>) -> Result<()> {
        let number = value.as_int().and_then(|n| u32::try_from(n).ok());
        let mut body = Vec::new();
        value.encode(&mut body);
        self.pair(key, value.kind(), &body, number)
    }

    /// `number` is the value where it may be an alignment.
    fn pair(&mut self, key: &str, kind: ValueType, body: &[u8], number: Option<u32>) -> Result<()> {
        if key.is_empty() || self.keys.contains(key) {
            return Err(misuse(format!("the key `{key}` is empty or was added before")));
        }
        if key == "general.alignment" {
            let Some(a) = number else { return Err(misuse("`general.alignment` is a u32")) };
            if !a.is_power_of_two() || !(8..=65536).contains(&a) || !self.sizes.is_empty() {
                return Err(misuse("`general.alignment` is a power of two from 8 to 65536, before any tensor"));
            }
            self.alignment = a.into();
        }
        self.keys.insert(key.to_owned());
        string(&mut self.pairs, key.as_bytes());
        self.pairs.extend((kind as u32).to_le_bytes());
        self.pairs.extend(body);
        Ok(())
    }

    /// Declares the next tensor; `dims[0]` is the length of a row. After an error everything is as before.
    ///
    /// # Errors
    /// No such type, a name declared before, or dimensions that the format does not allow.
    pub fn tensor(&mut self, name: &str, dims: &[u64], dtype: Option<TensorType>) -> Result<()> {
        let dtype = dtype.ok_or_else(|| misuse(format!("tensor `{name}`: no such type")))?;
        if name.is_empty() || self.names.contains(name) {
            return Err(misuse(format!("the tensor `{name}` has no name or was declared before")));
        }
        let elements = dims.iter().try_fold(1u64, |n, d| n.checked_mul(*d)).filter(|n| *n > 0);
        let row_fits = dims.len() <= 4 && dims.first().is_some_and(|c| c.is_multiple_of(dtype.block_len()));
        let bytes = elements.filter(|_| row_fits).and_then(|n| dtype.bytes(n));
        let end = bytes.and_then(|n| self.end.checked_add(n)?.checked_next_multiple_of(self.alignment));
        let (Some(bytes), Some(end)) = (bytes, end) else {
            return Err(misuse(format!("tensor `{name}`: the dimensions {dims:?} do not suit {dtype}")));
        };
        string(&mut self.directory, name.as_bytes());
        self.directory.extend((dims.len() as u32).to_le_bytes());
        dims.iter().for_each(|d| self.directory.extend(d.to_le_bytes()));
        self.directory.extend(dtype.id().to_le_bytes());
        self.directory.extend(self.end.to_le_bytes());
        self.names.insert(name.to_owned());
        self.sizes.push(bytes);
        self.end = end;
        Ok(())
    }

    /// Writes everything before the data, padding included.
    ///
    /// # Errors
    /// The output's.
    pub fn write_header(&self, out: &mut impl Write) -> Result<()> {
        let mut head = Vec::from(*b"GGUF");
        head.extend(3u32.to_le_bytes());
        head.extend((self.sizes.len() as u64).to_le_bytes());
        head.extend((self.keys.len() as u64).to_le_bytes());
        let len = head.len() + self.pairs.len() + self.directory.len();
        out.write_all(&head)?;
        out.write_all(&self.pairs)?;
        out.write_all(&self.directory)?;
        self.pad(out, len as u64)
    }

    /// Writes the header, and gives what the tensors' bytes are to be passed to.
    ///
    /// # Errors
    /// The output's.
    pub fn stream<W: Write>(&self, mut out: W) -> Result<GgufStream<'_, W>> {
        self.write_header(&mut out)?;
        Ok(GgufStream { plan: self, out, index: 0, written: 0 })
    }

    /// Writes the whole file, with the tensors' bytes from `data` in order of declaration.
    ///
    /// # Errors
    /// Data of another length than declared, too few or too many tensors; the output's.
    pub fn write_to<'d>(&self, out: &mut impl Write, data: impl IntoIterator<Item = &'d [u8]>) -> Result<()> {
        let mut stream = self.stream(out)?;
        for (i, d) in data.into_iter().enumerate() {
            let declared = self.sizes.get(i);
            if declared != Some(&(d.len() as u64)) {
                return Err(misuse(format!("tensor {i} has {} bytes, declared were {declared:?}", d.len())));
            }
            stream.write(d)?;
        }
        stream.finish().map(drop)
    }

    fn pad(&self, out: &mut impl Write, len: u64) -> Result<()> {
        let n = len.next_multiple_of(self.alignment) - len;
        out.write_all(&vec![0; n as usize])
    }
}

/// Takes the tensors' bytes one after the other, each in as many pieces as is convenient, and pads between them.
#[derive(Debug)]
pub struct GgufStream<'w, W> {
    plan: &'w GgufWriter,
    out: W,
    index: usize,
    written: u64,
}

impl<W: Write> GgufStream<'_, W> {
    /// The next bytes of the tensor that is due.
    ///
    /// # Errors
    /// More bytes than this tensor was declared with, or no tensor is due; the output's.
    pub fn write(&mut self, piece: &[u8]) -> Result<()> {
        let due = self.plan.sizes.get(self.index).map(|size| size - self.written);
        let left = due.and_then(|due| due.checked_sub(piece.len() as u64));
        let Some(left) = left else {
            return Err(misuse(format!("{} bytes for tensor {}, due are {due:?}", piece.len(), self.index)));
        };
        self.out.write_all(piece)?;
        self.written += piece.len() as u64;
        if left == 0 {
            self.plan.pad(&mut self.out, self.written)?;
            (self.index, self.written) = (self.index + 1, 0);
        }
        Ok(())
    }

    /// Ends the file and gives the output back.
    ///
    /// # Errors
    /// Bytes are still due; the output's.
    pub fn finish(mut self) -> Result<W> {
        let all = self.plan.sizes.len();
        if self.index < all {
            return Err(misuse(format!("the file ends in tensor {} of {all}", self.index)));
        }
        self.out.flush()?;
        Ok(self.out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Gguf, Value};

    #[test]
    fn what_is_written_is_read() {
        let mut w = GgufWriter::new();
        w.meta("general.alignment", MetaValue::U32(64)).unwrap();
        let values = [
            MetaValue::U8(200),
            MetaValue::I8(-3),
            MetaValue::U16(60000),
            MetaValue::I16(-300),
            MetaValue::I32(-7),
            MetaValue::F32(1.5),
            MetaValue::Bool(true),
            MetaValue::Str("text".into()),
            MetaValue::Bytes(vec![0xff, 0]),
            MetaValue::U64(1 << 40),
            MetaValue::I64(-1),
            MetaValue::F64(0.1),
            MetaValue::Array(vec![]),
            MetaValue::Array(vec![MetaValue::Str("a".into()), MetaValue::Str("".into())]),
            MetaValue::Array(vec![MetaValue::Array(vec![MetaValue::U8(1)]), MetaValue::Array(vec![])]),
        ];
        for (i, v) in values.iter().enumerate() {
            w.meta(&format!("k{i}"), v.clone()).unwrap();
        }
        w.tensor("a", &[3], TensorType::from_id(0)).unwrap();
        w.tensor("b", &[32, 2], TensorType::from_id(8)).unwrap();
        let (a, b) = ([1u8; 12], [2u8; 68]);
        let mut file = Vec::new();
        w.write_to(&mut file, [&a[..], &b[..]]).unwrap();
        let g = Gguf::from_bytes(file).unwrap();
        let m = g.metadata();
        assert_eq!((g.version(), g.alignment(), m.len()), (3, 64, values.len() + 1));
        assert_eq!(m.get("k1"), Some(Value::I8(-3)));
        assert_eq!(m.get("k8"), Some(Value::Str(&[0xff, 0])));
        assert_eq!(m.f32("k11").unwrap(), Some(0.1));
        let strings: Vec<_> = m.array("k13").unwrap().unwrap().strings().unwrap().collect();
        assert_eq!(strings, [&b"a"[..], b""]);
        assert_eq!(m.array("k14").unwrap().unwrap().iter().count(), 2);
        assert!(m.str("k8").is_err() && m.u32("k1").is_err() && m.bool("k0").is_err());
        let t = g.tensor("b").unwrap();
        assert_eq!((t.rows(), t.cols(), t.bytes, t.offset % 64), (2, 32, 68, 0));
        assert_eq!((g.tensor_data(g.tensor("a").unwrap()), g.tensor_data(t)), (&a[..], &b[..]));
    }

    #[test]
    fn misuse_is_an_error_and_changes_nothing() {
        let mut w = GgufWriter::new();
        w.meta("k", MetaValue::U8(1)).unwrap();
        assert!(w.meta("k", MetaValue::U8(1)).is_err());
        assert!(w.meta("", MetaValue::U8(1)).is_err());
        assert!(w.meta("m", MetaValue::Array(vec![MetaValue::U8(1), MetaValue::Bool(true)])).is_err());
        assert!(w.meta("m", (0..5).fold(MetaValue::Array(vec![]), |a, _| MetaValue::Array(vec![a]))).is_err());
        assert!(w.meta("general.alignment", MetaValue::U64(64)).is_err());
        assert!(w.meta("general.alignment", MetaValue::U32(48)).is_err());
        assert!(w.tensor("t", &[31], TensorType::from_id(8)).is_err());
        assert!(w.tensor("t", &[], TensorType::from_id(0)).is_err());
        assert!(w.tensor("t", &[1; 5], TensorType::from_id(0)).is_err());
        assert!(w.tensor("t", &[0], TensorType::from_id(0)).is_err());
        assert!(w.tensor("t", &[1 << 32, 1 << 32], TensorType::from_id(24)).is_err());
        assert!(w.tensor("t", &[u64::MAX], TensorType::from_id(24)).is_err());
        assert!(w.tensor("z", &[1], TensorType::from_id(99)).is_err());
        assert!(w.tensor("", &[1], TensorType::from_id(0)).is_err());
        // The refused names are free still.
        w.meta("m", MetaValue::U8(2)).unwrap();
        w.tensor("t", &[32], TensorType::from_id(8)).unwrap();
        assert!(w.tensor("t", &[32], TensorType::from_id(8)).is_err());
        assert!(w.meta("general.alignment", MetaValue::U32(64)).is_err());
        assert!(w.write_to(&mut Vec::new(), [&[0u8; 33][..]]).is_err());
        assert!(w.write_to(&mut Vec::new(), []).is_err());
        assert!(w.write_to(&mut Vec::new(), [&[0u8; 34][..], &[]]).is_err());
        let mut file = Vec::new();
        w.write_to(&mut file, [&[0u8; 34][..]]).unwrap();
        let g = Gguf::from_bytes(file).unwrap();
        assert_eq!((g.metadata().len(), g.metadata().u32("m").unwrap(), g.tensors().len()), (2, Some(2), 1));
    }

    #[test]
    fn pieces_make_the_same_file() {
        let mut w = GgufWriter::new();
        w.tensor("a", &[3], TensorType::from_id(0)).unwrap();
        w.tensor("b", &[32, 2], TensorType::from_id(8)).unwrap();
        let (a, b) = ([1u8; 12], [2u8; 68]);
        let mut whole = Vec::new();
        w.write_to(&mut whole, [&a[..], &b[..]]).unwrap();
        let mut stream = w.stream(Vec::new()).unwrap();
        for piece in [&a[..5], &a[5..], &b[..67]] {
            stream.write(piece).unwrap();
        }
        assert!(stream.write(&[2; 2]).is_err(), "beyond its end");
        stream.write(&b[67..]).unwrap();
        assert!(stream.write(&[2; 1]).is_err(), "no tensor is due");
        assert_eq!(stream.finish().unwrap(), whole);
        let mut stream = w.stream(Vec::new()).unwrap();
        stream.write(&a).unwrap();
        assert!(stream.finish().is_err());
        assert!(GgufWriter::new().stream(Vec::new()).unwrap().finish().is_ok(), "a file without tensors");
    }
}
