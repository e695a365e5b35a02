//! `tojson` as the hub's reference has it: `json.dumps(x, ensure_ascii, indent, separators, sort_keys)` with
//! `ensure_ascii=False`, nothing escaped for HTML.

use super::bounds;
use minijinja::value::{Kwargs, Value};
use minijinja::{Error, ErrorKind, State};
use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};
use std::fmt::Write as _;
use std::io;

/// The filter: `x | tojson`, `x | tojson(indent=4)`.
pub(super) fn filter(state: &State, value: &Value, kwargs: Kwargs) -> Result<Value, Error> {
    let wrong = |what: String| Error::new(ErrorKind::InvalidOperation, format!("tojson: {what}"));
    let indent = kwargs.get::<Option<usize>>("indent")?;
    let ensure_ascii = kwargs.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false);
    let sort_keys = kwargs.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
    let separators = kwargs.get::<Option<Vec<String>>>("separators")?;
    kwargs.assert_all_used()?;
    if value.is_undefined() {
        return Err(Error::new(ErrorKind::UndefinedError, "tojson of something undefined"));
    }
    let [item, key] = match separators {
        None => [if indent.is_some() { "," } else { ", " }.to_owned(), ": ".to_owned()],
        Some(s) => <[String; 2]>::try_from(s).map_err(|s| wrong(format!("{} separators; it must be two", s.len())))?,
    };
    bounds::check(state, value)?;

    let failed = |e: &dyn std::fmt::Display| Error::new(ErrorKind::BadSerialization, format!("tojson: {e}"));
    let layout = Layout { item, key, indent, depth: 0, filled: false };
    let mut out = bounds::Bounded::default();
    let mut serializer = Serializer::with_formatter(&mut out, layout);
    let result = if sort_keys {
        let mut tree = serde_json::to_value(value).map_err(|e| failed(&e))?;
        tree.sort_all_objects();
        tree.serialize(&mut serializer)
    } else {
        value.serialize(&mut serializer)
    };
    if out.full {
        return Err(bounds::reached("tojson writes more than 64 MiB"));
    }
    result.map_err(|e| failed(&e))?;
    let text = String::from_utf8(out.text).map_err(|e| failed(&e))?;
    Ok(Value::from_safe_string(if ensure_ascii { ascii(&text) } else { text }))
}

/// Escapes what is beyond ASCII; in JSON that occurs in strings only.
fn ascii(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string does not fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out
}

/// How `json.dumps` lays things out.
struct Layout {
    item: String,
    key: String,
    indent: Option<usize>,
    depth: usize,
    /// Whether the innermost container has something in it.
    filled: bool,
}

impl Layout {
    fn begin<W: io::Write + ?Sized>(&mut self, w: &mut W, open: &[u8]) -> io::Result<()> {
        self.depth += 1;
        self.filled = false;
        w.write_all(open)
    }

    fn end<W: io::Write + ?Sized>(&mut self, w: &mut W, close: &[u8]) -> io::Result<()> {
        self.depth -= 1;
        if self.filled {
            self.new_line(w)?;
        }
        self.filled = true;
        w.write_all(close)
    }

    fn next<W: io::Write + ?Sized>(&mut self, w: &mut W, first: bool) -> io::Result<()> {
        if !first {
            w.write_all(self.item.as_bytes())?;
        }
        self.new_line(w)
    }

    fn new_line<W: io::Write + ?Sized>(&self, w: &mut W) -> io::Result<()> {
        let Some(n) = self.indent else { return Ok(()) };
        w.write_all(b"\n")?;
        (0..n.saturating_mul(self.depth)).try_for_each(|_| w.write_all(b" "))
    }
}

impl Formatter for Layout {
    fn begin_array<W: io::Write + ?Sized>(&mut self, w: &mut W) -> io::Result<()> {
        self.begin(w, b"[")
    }

    fn end_array<W: io::Write + ?Sized>(&mut self, w: &mut W) -> io::Result<()> {
        self.end(w, b"]")
    }

    fn begin_array_value<W: io::Write + ?Sized>(&mut self, w: &mut W, first: bool) -> io::Result<()> {
        self.next(w, first)
    }

    fn end_array_value<W: io::Write + ?Sized>(&mut self, _: &mut W) -> io::Result<()> {
        self.filled = true;
        Ok(())
    }

    fn begin_object<W: io::Write + ?Sized>(&mut self, w: &mut W) -> io::Result<()> {
        self.begin(w, b"{")
    }

    fn end_object<W: io::Write + ?Sized>(&mut self, w: &mut W) -> io::Result<()> {
        self.end(w, b"}")
    }

    fn begin_object_key<W: io::Write + ?Sized>(&mut self, w: &mut W, first: bool) -> io::Result<()> {
        self.next(w, first)
    }

    fn begin_object_value<W: io::Write + ?Sized>(&mut self, w: &mut W) -> io::Result<()> {
        w.write_all(self.key.as_bytes())
    }

    fn end_object_value<W: io::Write + ?Sized>(&mut self, _: &mut W) -> io::Result<()> {
        self.filled = true;
        Ok(())
    }

    /// The shortest digits, with Python's exponent: a sign and at least two digits.
    fn write_f64<W: io::Write + ?Sized>(&mut self, w: &mut W, value: f64) -> io::Result<()> {
        let text = serde_json::to_string(&value)?;
        match text.split_once('e') {
            None => w.write_all(text.as_bytes()),
            Some((digits, exponent)) => {
                let (sign, n) = exponent.strip_prefix('-').map_or(("+", exponent), |n| ("-", n));
                write!(w, "{digits}e{sign}{:0>2}", n.trim_start_matches('+'))
            }
        }
    }
}
