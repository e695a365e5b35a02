//! Bounds on the values that a template builds.
//!
//! The template engine counts steps and bytes, but it prints, compares and frees values by recursion, and a value that
//! holds another twice, which holds another twice, is huge when printed though small in memory. So a value is measured
//! before it goes anywhere, as the tree that printing it would walk: what is printed or assigned, and what goes on from
//! one part of an expression to the next (`guard`). Measuring costs steps, too.

use minijinja::value::{ObjectRepr, Value};
use minijinja::{Error, ErrorKind, State};
use std::io::{self, Write};

/// Nested lists and maps: as deep as JSON parsers go.
const DEPTH: usize = 128;
/// Bytes of all strings, and some for each value around them.
pub(super) const SIZE: usize = 64 << 20;
/// What a value counts besides its text.
const NODE: usize = 16;
/// Values that are measured for one step.
const NODES_PER_STEP: usize = 16;

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

/// Checks a value that goes on from where it was made.
pub(super) fn check(state: &State<'_, '_>, value: &Value) -> Result<(), Error> {
    check_size(state, value, SIZE)
}

/// Checks a value against a limit of its own.
pub(super) fn check_size(state: &State<'_, '_>, value: &Value, size: usize) -> Result<(), Error> {
    // Only containers can be deep, and a single string was paid for when it was made.
    if value.as_object().is_none() {
        return Ok(());
    }
    let mut walk = Walk { left: size, nodes: 0 };
    walk.visit(value, 0)?;
    state.consume_fuel((walk.nodes / NODES_PER_STEP) as u64)
}

/// The size of a value, as its limit counts.
pub(super) fn size(value: &Value) -> Result<usize, Error> {
    let mut walk = Walk { left: SIZE, nodes: 0 };
    walk.visit(value, 0)?;
    Ok(SIZE - walk.left)
}

/// Checks a value that is assigned to an attribute of a namespace: a namespace inside another could hold itself.
pub(super) fn check_attr(state: &State<'_, '_>, value: &Value) -> Result<(), Error> {
    if is_namespace(value) {
        return Err(reached("a namespace holds a namespace"));
    }
    check(state, value)
}

fn is_namespace(value: &Value) -> bool {
    // The engine's type is private; a test notices if its name changes.
    value.as_object().is_some_and(|o| o.type_name().ends_with("::Namespace"))
}

/// Walks a value as printing it would.
struct Walk {
    left: usize,
    nodes: usize,
}

impl Walk {
    fn visit(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        let size = NODE + value.as_str().map_or(0, str::len);
        self.nodes += 1;
        self.left = self.left.checked_sub(size).ok_or_else(|| reached("a value is larger than 64 MiB"))?;
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
                    self.visit(&key, depth + 1)?;
                    self.visit(&value, depth + 1)?;
                }
            }
            ObjectRepr::Seq | ObjectRepr::Iterable => {
                for value in object.try_iter().into_iter().flatten() {
                    self.visit(&value, depth + 1)?;
                }
            }
            _ => {}
        }
        Ok(())
    }
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
