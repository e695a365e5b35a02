//! Metadata values, as views of the file's bytes.

use crate::error::{LoadError, Shown};
use crate::reader::Reader;

/// Arrays within arrays are read to this depth.
pub(crate) const MAX_NESTING: usize = 4;

/// The type of a metadata value, by its id in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[allow(missing_docs)] // the names say it
pub enum ValueType {
    U8 = 0,
    I8 = 1,
    U16 = 2,
    I16 = 3,
    U32 = 4,
    I32 = 5,
    F32 = 6,
    Bool = 7,
    Str = 8,
    Array = 9,
    U64 = 10,
    I64 = 11,
    F64 = 12,
}

impl ValueType {
    pub(crate) fn from_id(id: u32) -> Option<Self> {
        use ValueType::*;
        [U8, I8, U16, I16, U32, I32, F32, Bool, Str, Array, U64, I64, F64].into_iter().find(|t| *t as u32 == id)
    }

    /// Bytes of a value, for types that have one size.
    pub(crate) fn size(self) -> Option<usize> {
        match self {
            Self::U8 | Self::I8 | Self::Bool => Some(1),
            Self::U16 | Self::I16 => Some(2),
            Self::U32 | Self::I32 | Self::F32 => Some(4),
            Self::U64 | Self::I64 | Self::F64 => Some(8),
            Self::Str | Self::Array => None,
        }
    }

    /// The customary name.
    pub fn name(self) -> &'static str {
        match self {
            Self::U8 => "u8",
            Self::I8 => "i8",
            Self::U16 => "u16",
            Self::I16 => "i16",
            Self::U32 => "u32",
            Self::I32 => "i32",
            Self::F32 => "f32",
            Self::Bool => "bool",
            Self::Str => "string",
            Self::Array => "array",
            Self::U64 => "u64",
            Self::I64 => "i64",
            Self::F64 => "f64",
        }
    }
}

/// A metadata value. Strings are bytes: vocabularies may hold tokens that are not UTF-8.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)] // the names say it
pub enum Value<'a> {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    F32(f32),
    Bool(bool),
    Str(&'a [u8]),
    Array(Array<'a>),
    U64(u64),
    I64(i64),
    F64(f64),
}

impl<'a> Value<'a> {
    /// Its type.
    pub fn kind(&self) -> ValueType {
        match self {
            Self::U8(_) => ValueType::U8,
            Self::I8(_) => ValueType::I8,
            Self::U16(_) => ValueType::U16,
            Self::I16(_) => ValueType::I16,
            Self::U32(_) => ValueType::U32,
            Self::I32(_) => ValueType::I32,
            Self::F32(_) => ValueType::F32,
            Self::Bool(_) => ValueType::Bool,
            Self::Str(_) => ValueType::Str,
            Self::Array(_) => ValueType::Array,
            Self::U64(_) => ValueType::U64,
            Self::I64(_) => ValueType::I64,
            Self::F64(_) => ValueType::F64,
        }
    }

    /// Any integer type, widened.
    pub fn as_int(&self) -> Option<i128> {
        match *self {
            Self::U8(v) => Some(v.into()),
            Self::I8(v) => Some(v.into()),
            Self::U16(v) => Some(v.into()),
            Self::I16(v) => Some(v.into()),
            Self::U32(v) => Some(v.into()),
            Self::I32(v) => Some(v.into()),
            Self::U64(v) => Some(v.into()),
            Self::I64(v) => Some(v.into()),
            _ => None,
        }
    }

    /// A number of either float type.
    pub fn as_f64(&self) -> Option<f64> {
        match *self {
            Self::F32(v) => Some(v.into()),
            Self::F64(v) => Some(v),
            _ => None,
        }
    }

    /// A string that is UTF-8.
    pub fn as_str(&self) -> Option<&'a str> {
        match self {
            Self::Str(b) => std::str::from_utf8(b).ok(),
            _ => None,
        }
    }

    /// A string's bytes.
    pub fn as_bytes(&self) -> Option<&'a [u8]> {
        match self {
            Self::Str(b) => Some(b),
            _ => None,
        }
    }

    fn fixed(kind: ValueType, b: &[u8]) -> Option<Value<'static>> {
        Some(match kind {
            ValueType::U8 => Value::U8(*b.first()?),
            ValueType::I8 => Value::I8(*b.first()? as i8),
            ValueType::Bool => Value::Bool(*b.first()? != 0),
            ValueType::U16 => Value::U16(u16::from_le_bytes(b.try_into().ok()?)),
            ValueType::I16 => Value::I16(i16::from_le_bytes(b.try_into().ok()?)),
            ValueType::U32 => Value::U32(u32::from_le_bytes(b.try_into().ok()?)),
            ValueType::I32 => Value::I32(i32::from_le_bytes(b.try_into().ok()?)),
            ValueType::F32 => Value::F32(f32::from_le_bytes(b.try_into().ok()?)),
            ValueType::U64 => Value::U64(u64::from_le_bytes(b.try_into().ok()?)),
            ValueType::I64 => Value::I64(i64::from_le_bytes(b.try_into().ok()?)),
            ValueType::F64 => Value::F64(f64::from_le_bytes(b.try_into().ok()?)),
            ValueType::Str | ValueType::Array => return None,
        })
    }

    /// Appends the value as version 3 has it; the type of an empty array is kept.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::U8(v) => out.push(*v),
            Self::I8(v) => out.extend(v.to_le_bytes()),
            Self::U16(v) => out.extend(v.to_le_bytes()),
            Self::I16(v) => out.extend(v.to_le_bytes()),
            Self::U32(v) => out.extend(v.to_le_bytes()),
            Self::I32(v) => out.extend(v.to_le_bytes()),
            Self::F32(v) => out.extend(v.to_le_bytes()),
            Self::Bool(v) => out.push(u8::from(*v)),
            Self::Str(v) => {
                out.extend((v.len() as u64).to_le_bytes());
                out.extend(*v);
            }
            Self::Array(a) => {
                out.extend((a.item as u32).to_le_bytes());
                out.extend((a.len as u64).to_le_bytes());
                a.iter().for_each(|v| v.encode(out));
            }
            Self::U64(v) => out.extend(v.to_le_bytes()),
            Self::I64(v) => out.extend(v.to_le_bytes()),
            Self::F64(v) => out.extend(v.to_le_bytes()),
        }
    }

    /// The value in bytes that [`read`](Self::read) checked before: arrays are not walked again.
    pub(crate) fn checked(data: &'a [u8], kind: ValueType, wide: bool) -> Option<Self> {
        let mut r = Reader { data, at: 0, wide };
        if kind != ValueType::Array {
            return Self::read(&mut r, kind, "", 0).ok();
        }
        let item = ValueType::from_id(r.u32(&String::new).ok()?)?;
        let len = r.count(0, &String::new).ok()? as usize;
        Some(Self::Array(Array { item, len, data: &data[r.at..], wide }))
    }

    /// Reads and checks the value of `key` at the cursor, and leaves the cursor behind it.
    pub(crate) fn read(r: &mut Reader<'a>, kind: ValueType, key: &str, depth: usize) -> Result<Self, LoadError> {
        let what = || format!("the value of {}", Shown(key));
        if let Some(n) = kind.size() {
            let at = r.at;
            let bytes = r.take(n as u64, &what)?;
            if kind == ValueType::Bool && bytes[0] > 1 {
                return Err(LoadError::Bool { key: key.into(), value: bytes[0], at });
            }
            return Self::fixed(kind, bytes).ok_or(LoadError::ValueType { key: key.into(), id: kind as u32, at });
        }
        if kind == ValueType::Str {
            return Ok(Self::Str(r.string(&what)?));
        }
        let at = r.at;
        if depth >= MAX_NESTING {
            return Err(LoadError::Nesting { key: key.into(), max: MAX_NESTING, at });
        }
        let id = r.u32(&what)?;
        let Some(item) = ValueType::from_id(id) else {
            return Err(LoadError::ValueType { key: key.into(), id, at });
        };
        // A string takes at least its length, an array its type and length.
        let prefix = if r.wide { 8 } else { 4 };
        let unit = item.size().unwrap_or(if item == ValueType::Str { prefix } else { 4 + prefix });
        let len = r.count(unit as u64, &what)? as usize;
        let start = r.at;
        if item.size().is_some() {
            let bytes = r.take((len * unit) as u64, &what)?;
            if item == ValueType::Bool
                && let Some(i) = bytes.iter().position(|b| *b > 1)
            {
                return Err(LoadError::Bool { key: key.into(), value: bytes[i], at: start + i });
            }
        } else {
            for _ in 0..len {
                Self::read(r, item, key, depth + 1)?;
            }
        }
        Ok(Self::Array(Array { item, len, data: &r.data[start..r.at], wide: r.wide }))
    }
}

/// An array value; its bytes were checked when the file was opened.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Array<'a> {
    item: ValueType,
    len: usize,
    data: &'a [u8],
    wide: bool,
}

impl<'a> Array<'a> {
    /// Type of the elements.
    pub fn item_type(&self) -> ValueType {
        self.item
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The elements, whatever their type.
    pub fn iter(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let item = self.item;
        let mut r = Reader { data: self.data, at: 0, wide: self.wide };
        // Checked on opening, so reading cannot fail; were it to, iteration would end.
        (0..self.len).map_while(move |_| Value::read(&mut r, item, "", 1).ok())
    }

    /// The elements as bytes, when they are strings.
    pub fn strings(&self) -> Option<impl Iterator<Item = &'a [u8]> + use<'a>> {
        let (mut rest, wide) = (self.data, self.wide);
        let next = move |_| {
            let (n, body) = if wide {
                let (n, body) = rest.split_first_chunk::<8>()?;
                (u64::from_le_bytes(*n) as usize, body)
            } else {
                let (n, body) = rest.split_first_chunk::<4>()?;
                (u32::from_le_bytes(*n) as usize, body)
            };
            let (s, after) = body.split_at_checked(n)?;
            rest = after;
            Some(s)
        };
        (self.item == ValueType::Str).then(|| (0..self.len).map_while(next))
    }

    /// The elements of a type that has one size; a vocabulary has some 100,000 of them.
    fn fixed_items(&self) -> Option<impl Iterator<Item = Value<'static>> + Clone + use<'a>> {
        let item = self.item;
        Some(self.data.chunks_exact(item.size()?).filter_map(move |b| Value::fixed(item, b)))
    }

    /// The elements as f32, when they are floats.
    pub fn f32s(&self) -> Option<impl Iterator<Item = f32> + use<'a>> {
        let float = matches!(self.item, ValueType::F32 | ValueType::F64);
        Some(self.fixed_items().filter(|_| float)?.filter_map(|v| v.as_f64()).map(|v| v as f32))
    }

    /// The elements as i64, when they are integers that fit.
    pub fn ints(&self) -> Option<impl Iterator<Item = i64> + use<'a>> {
        let ints = self.fixed_items()?.map(|v| v.as_int().and_then(|v| i64::try_from(v).ok()));
        ints.clone().all(|v| v.is_some()).then(|| ints.flatten())
    }
}
