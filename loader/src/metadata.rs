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

    /// Where the value of a key lies; 0 for a key that is not there.
    pub(crate) fn place(&self, key: &str) -> usize {
        self.entry(key).map_or(0, |e| e.value.start)
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

    /// [`u32`](Self::u32) of a key that must be there.
    pub fn require_u32(&self, key: &str) -> Result<u32, LoadError> {
        required(key, self.u32(key))
    }

    /// [`u64`](Self::u64) of a key that must be there.
    pub fn require_u64(&self, key: &str) -> Result<u64, LoadError> {
        required(key, self.u64(key))
    }

    /// [`f32`](Self::f32) of a key that must be there.
    pub fn require_f32(&self, key: &str) -> Result<f32, LoadError> {
        required(key, self.f32(key))
    }

    /// [`bool`](Self::bool) of a key that must be there.
    pub fn require_bool(&self, key: &str) -> Result<bool, LoadError> {
        required(key, self.bool(key))
    }

    /// [`str`](Self::str) of a key that must be there.
    pub fn require_str(&self, key: &str) -> Result<&'a str, LoadError> {
        required(key, self.str(key))
    }

    /// [`array`](Self::array) of a key that must be there.
    pub fn require_array(&self, key: &str) -> Result<Array<'a>, LoadError> {
        required(key, self.array(key))
    }
}

fn required<T>(key: &str, value: Result<Option<T>, LoadError>) -> Result<T, LoadError> {
    value?.ok_or_else(|| LoadError::MissingKey(key.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Gguf, GgufWriter, MetaValue};

    fn file(pairs: &[(&str, MetaValue)]) -> Gguf {
        let mut w = GgufWriter::new();
        pairs.iter().for_each(|(k, v)| w.meta(k, v.clone()).unwrap());
        let mut bytes = Vec::new();
        w.write_to(&mut bytes, []).unwrap();
        Gguf::from_bytes(bytes).unwrap()
    }

    #[test]
    fn integers_of_any_type_that_fit() {
        use MetaValue::*;
        let g = file(&[("u8", U8(7)), ("i64", I64(7)), ("neg", I8(-1)), ("big", U64(1 << 32)), ("f", F32(7.0))]);
        let m = g.metadata();
        assert_eq!(
            (m.u32("u8").unwrap(), m.u32("i64").unwrap(), m.u64("big").unwrap()),
            (Some(7), Some(7), Some(1 << 32))
        );
        assert_eq!((m.u32("none").unwrap(), m.contains("none"), m.contains("f")), (None, false, true));
        for (key, have) in [("neg", "-1 (i8)"), ("big", "4294967296 (u64)"), ("f", "f32")] {
            let text = m.u32(key).unwrap_err().to_string();
            assert!(text.starts_with(&format!("`{key}` should be an integer")) && text.contains(have), "{text}");
        }
        assert!(m.u64("neg").is_err());
    }

    #[test]
    fn the_wrong_type_is_named_with_its_place() {
        use MetaValue::*;
        let g = file(&[
            ("s", Str("x".into())),
            ("raw", Bytes(vec![0xff])),
            ("n", U8(1)),
            ("b", Bool(true)),
            ("d", F64(0.5)),
        ]);
        let m = g.metadata();
        assert_eq!(
            (m.str("s").unwrap(), m.bool("b").unwrap(), m.f32("d").unwrap()),
            (Some("x"), Some(true), Some(0.5))
        );
        assert_eq!(m.get("raw"), Some(Value::Str(&[0xff])));
        assert!(m.f32("n").is_err() && m.bool("n").is_err() && m.array("n").is_err() && m.str("n").is_err());
        let LoadError::WrongType { key, want, have, at } = m.str("raw").unwrap_err() else { panic!() };
        assert_eq!((key.as_str(), want, have.as_str()), ("raw", "a UTF-8 string", "a string of other bytes"));
        // Its length, then its one byte.
        assert_eq!(m.data[at..at + 9], [1, 0, 0, 0, 0, 0, 0, 0, 0xff]);
    }

    #[test]
    fn a_required_key_must_be_there_and_right() {
        use MetaValue::*;
        let g =
            file(&[("n", U8(1)), ("f", F32(2.0)), ("b", Bool(false)), ("s", Str("x".into())), ("a", Array(vec![]))]);
        let m = g.metadata();
        assert_eq!((m.require_u32("n").unwrap(), m.require_u64("n").unwrap()), (1, 1));
        assert_eq!((m.require_f32("f").unwrap(), m.require_bool("b").unwrap()), (2.0, false));
        assert_eq!((m.require_str("s").unwrap(), m.require_array("a").unwrap().len()), ("x", 0));
        assert!(matches!(m.require_u32("x"), Err(LoadError::MissingKey(key)) if key == "x"));
        assert!(matches!(m.require_u32("s"), Err(LoadError::WrongType { .. })));
    }

    #[test]
    fn pairs_come_in_file_order() {
        let g = file(&[("z", MetaValue::U8(1)), ("a", MetaValue::U8(2))]);
        let m = g.metadata();
        assert_eq!(m.iter().collect::<Vec<_>>(), [("z", Value::U8(1)), ("a", Value::U8(2))]);
        assert_eq!((m.len(), m.is_empty()), (2, false));
    }
}
