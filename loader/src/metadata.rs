//! Typed access to the metadata.

use crate::error::LoadError;
use crate::value::{Array, Value, ValueType};
use std::collections::HashMap;
use std::ops::Range;

/// Where a key's value lies.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub key: Range<usize>,
    pub kind: ValueType,
    pub value: Range<usize>,
}

/// The entries in file order, and an index by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entries {
    pub list: Vec<Entry>,
    pub index: HashMap<String, usize>,
    pub wide: bool,
}

/// The key/value pairs of a file. Values are made on demand from the file's bytes.
#[derive(Clone, Copy, Debug)]
pub struct Metadata<'a> {
    pub(crate) data: &'a [u8],
    pub(crate) entries: &'a Entries,
}

impl<'a> Metadata<'a> {
    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.entries.list.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.list.is_empty()
    }

    /// Whether there is such a key.
    pub fn contains(&self, key: &str) -> bool {
        self.entries.index.contains_key(key)
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<Value<'a>> {
        self.value(self.entry(key)?)
    }

    /// All pairs in file order.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, Value<'a>)> + use<'a> {
        let this = *self;
        this.entries.list.iter().filter_map(move |e| {
            let key = std::str::from_utf8(&this.data[e.key.clone()]).ok()?;
            Some((key, this.value(e)?))
        })
    }

    fn entry(&self, key: &str) -> Option<&'a Entry> {
        self.entries.index.get(key).map(|i| &self.entries.list[*i])
    }

    fn value(&self, e: &Entry) -> Option<Value<'a>> {
        Value::checked(&self.data[e.value.clone()], e.kind, self.entries.wide)
    }

    /// The value of `key` through `f`; an error when `f` finds it of the wrong type.
    fn typed<T>(
        &self,
        key: &str,
        want: &'static str,
        f: impl Fn(&Value<'a>) -> Option<T>,
    ) -> Result<Option<T>, LoadError> {
        let Some((entry, value)) = self.entry(key).and_then(|e| Some((e, self.value(e)?))) else { return Ok(None) };
        match f(&value) {
            Some(v) => Ok(Some(v)),
            None => {
                let have = match (value, value.as_int(), value.kind()) {
                    (Value::Str(_), ..) if want.contains("string") => "a string of other bytes".to_owned(),
                    (Value::Str(_), ..) => "a string".to_owned(),
                    (_, Some(int), kind) => format!("{int} ({})", kind.name()),
                    (_, _, kind) => kind.name().to_owned(),
                };
                Err(LoadError::WrongType { key: key.into(), want, have, at: entry.value.start })
            }
        }
    }

    /// Any integer type that fits a u32.
    pub fn u32(&self, key: &str) -> Result<Option<u32>, LoadError> {
        self.typed(key, "an integer from 0 to 4294967295", |v| v.as_int().and_then(|v| v.try_into().ok()))
    }

    /// Any integer type that fits a u64.
    pub fn u64(&self, key: &str) -> Result<Option<u64>, LoadError> {
        self.typed(key, "a non-negative integer", |v| v.as_int().and_then(|v| v.try_into().ok()))
    }

    /// A float of either width.
    pub fn f32(&self, key: &str) -> Result<Option<f32>, LoadError> {
        self.typed(key, "a floating-point number", |v| v.as_f64().map(|v| v as f32))
    }

    /// A boolean.
    pub fn bool(&self, key: &str) -> Result<Option<bool>, LoadError> {
        self.typed(key, "a boolean", |v| if let Value::Bool(b) = v { Some(*b) } else { None })
    }

    /// A UTF-8 string.
    pub fn str(&self, key: &str) -> Result<Option<&'a str>, LoadError> {
        self.typed(key, "a UTF-8 string", Value::as_str)
    }

    /// An array.
    pub fn array(&self, key: &str) -> Result<Option<Array<'a>>, LoadError> {
        self.typed(key, "an array", |v| if let Value::Array(a) = v { Some(*a) } else { None })
    }
}
