//! Bounds on the values that a template builds.
//!
//! The template engine counts steps and bytes, but it prints, compares and frees values by recursion, and a value that
//! holds another twice, which holds another twice, is huge when printed though small in memory. So every value that is
//! assigned or printed is measured first, as the tree that printing it would walk. What remains: a single expression that
//! makes text of a long list of long strings (`[s] * 1000 ~ ''`) is charged only after it has been computed.

use minijinja::value::{ObjectRepr, Value};
use minijinja::{Error, ErrorKind};
use std::io::{self, Write};

/// Nested lists and maps: as deep as JSON parsers go.
const DEPTH: usize = 128;
/// Bytes of all strings, and some for each value around them.
const SIZE: usize = 64 << 20;
/// What a value counts besides its text.
const NODE: usize = 16;

/// Marks an error as a limit that was reached.
#[derive(Debug)]
pub(super) struct Reached(pub &'static str);

impl std::fmt::Display for Reached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Reached {}

/// An error that says which limit was reached.
pub(super) fn reached(limit: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, limit).with_source(Reached(limit))
}

/// Checks a value that is assigned to a variable or printed.
pub(super) fn check(value: &Value) -> Result<(), Error> {
    // Only containers can be deep, and a single string was paid for when it was made.
    if value.as_object().is_none() {
        return Ok(());
    }
    walk(value, 0, &mut SIZE.clone())
}

/// Checks a value that is assigned to an attribute of a namespace: a namespace inside another could hold itself.
pub(super) fn check_attr(value: &Value) -> Result<(), Error> {
    if is_namespace(value) {
        return Err(reached("a namespace holds a namespace"));
    }
    check(value)
}

fn is_namespace(value: &Value) -> bool {
    // The engine's type is private; a test notices if its name changes.
    value.as_object().is_some_and(|o| o.type_name().ends_with("::Namespace"))
}

fn walk(value: &Value, depth: usize, left: &mut usize) -> Result<(), Error> {
    let size = NODE + value.as_str().map_or(0, str::len);
    *left = left.checked_sub(size).ok_or_else(|| reached("a value is larger than 64 MiB"))?;
    let Some(object) = value.as_object() else { return Ok(()) };
    if depth > DEPTH {
        return Err(reached("a value is nested too deeply"));
    }
    if depth > 0 && is_namespace(value) {
        return Err(reached("a namespace is inside another value"));
    }
    match object.repr() {
        ObjectRepr::Map => {
            for (key, value) in object.try_iter_pairs().into_iter().flatten() {
                walk(&key, depth + 1, left)?;
                walk(&value, depth + 1, left)?;
            }
        }
        ObjectRepr::Seq | ObjectRepr::Iterable => {
            for value in object.try_iter().into_iter().flatten() {
                walk(&value, depth + 1, left)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// A writer that refuses more than `SIZE` bytes.
#[derive(Default)]
pub(super) struct Bounded {
    /// What was written.
    pub text: Vec<u8>,
    /// Whether something was refused.
    pub full: bool,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > SIZE - self.text.len() {
            self.full = true;
            return Err(io::Error::other("output limit"));
        }
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
