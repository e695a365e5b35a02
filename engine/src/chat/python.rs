//! Printing values as Python does: `str` outside, `repr` inside of lists and maps.

use super::bounds;
use minijinja::value::{Tuple, Value, ValueKind};
use minijinja::{Error, Output, State};
use std::fmt::Write;

/// The formatter of everything that a template prints.
pub(super) fn format(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    match value.kind() {
        ValueKind::Seq | ValueKind::Map => {
            bounds::check(state, value)?;
            repr(out, value)
        }
        ValueKind::Iterable => {
            bounds::check(state, value)?;
            minijinja::escape_formatter(out, state, value)
        }
        _ => minijinja::escape_formatter(out, state, value),
    }
}

/// `str(value)`, measured: what containers are in text.
pub(super) fn text(state: &State<'_, '_>, value: &Value) -> Result<Value, Error> {
    bounds::check(state, value)?;
    match value.kind() {
        ValueKind::Seq | ValueKind::Map => {
            let mut text = String::new();
            repr(&mut text, value)?;
            Ok(text.into())
        }
        // Strings keep their marks, and what is undefined stays so.
        _ if value.as_object().is_none() => Ok(value.clone()),
        _ => Ok(value.to_string().into()),
    }
}

/// Writes a value that is known to be bounded.
fn repr(out: &mut dyn Write, value: &Value) -> Result<(), Error> {
    let put = |out: &mut dyn Write, s: &str| out.write_str(s).map_err(Error::from);
    match value.kind() {
        ValueKind::String => put(out, &quoted(value.as_str().unwrap_or_default())),
        ValueKind::Undefined => put(out, "Undefined"),
        ValueKind::Seq => {
            let tuple = value.downcast_object_ref::<Tuple>().is_some();
            let mut n = 0;
            put(out, if tuple { "(" } else { "[" })?;
            for item in value.try_iter()? {
                if n > 0 {
                    put(out, ", ")?;
                }
                repr(out, &item)?;
                n += 1;
            }
            put(out, if tuple && n == 1 { "," } else { "" })?;
            put(out, if tuple { ")" } else { "]" })
        }
        ValueKind::Map => {
            put(out, "{")?;
            for (i, key) in value.try_iter()?.enumerate() {
                if i > 0 {
                    put(out, ", ")?;
                }
                repr(out, &key)?;
                put(out, ": ")?;
                repr(out, &value.get_item(&key)?)?;
            }
            put(out, "}")
        }
        _ => put(out, &value.to_string()),
    }
}

/// A string as Python's `repr` writes it.
fn quoted(s: &str) -> String {
    let quote = if s.contains('\'') && !s.contains('"') { '"' } else { '\'' };
    let mut out = String::with_capacity(s.len() + 2);
    out.push(quote);
    for c in s.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => out.extend(['\\', c]),
            c if (c as u32) < 0x100 && c.is_control() => out.push_str(&format!("\\x{:02x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}
