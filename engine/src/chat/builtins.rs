//! The engine's filters, methods and functions where they need bounds of their own: those that can make much of little.

use super::{bounds, json, python};
use minijinja::value::{Rest, Value, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State, filters};
use minijinja_contrib::pycompat;

/// Parts of a string that is split. A part takes some 30 bytes, however short it is.
const PARTS: usize = 1 << 20;
/// Bytes of a value that is printed with line breaks, each with its indentation.
const PRETTY: usize = 1 << 20;

/// Replaces what has no bounds, and removes what only looks around.
pub(super) fn add(env: &mut Environment<'_>) {
    env.set_unknown_method_callback(method);
    env.add_filter("tojson", json::filter);
    env.add_filter("string", python::text);
    env.add_filter("format", |state: &mut State, args: Rest<ValueOrKwargs>| {
        let args = args.into_values();
        if let Some((template, values)) = args.split_first() {
            formatted(template.as_str().unwrap_or_default(), '%', values)?;
        }
        Value::from_function(filters::format).call(state, &args)
    });
    env.add_filter("sum", |state: &mut State, args: Rest<ValueOrKwargs>| {
        let args = args.into_values();
        let named = args.last().filter(|a| a.is_kwargs()).and_then(|a| a.get_attr("start").ok());
        // As in Python. It would copy the sum for each item.
        if args.get(2).into_iter().chain(&named).any(|start| start.as_str().is_some() || start.as_object().is_some()) {
            return Err(Error::new(ErrorKind::InvalidOperation, "sum: only numbers can be summed up"));
        }
        Value::from_function(filters::sum).call(state, &args)
    });
    env.add_filter("split", |state: &mut State, args: Rest<ValueOrKwargs>| {
        let args = args.into_values();
        if let Some((text, rest)) = args.split_first() {
            split(text.as_str().unwrap_or_default(), rest.first())?;
        }
        Value::from_function(filters::split).call(state, &args)
    });
    env.add_filter("lines", |text: &Value| {
        split(text.as_str().unwrap_or_default(), Some(&Value::from("\n")))?;
        filters::lines(text)
    });
    env.add_filter("pprint", |state: &State, value: &Value| -> Result<String, Error> {
        bounds::check_size(state, value, PRETTY)?;
        Ok(filters::pprint(value))
    });
    env.remove_global("debug");
}

/// Methods of Python's strings, lists and dictionaries.
fn method(state: &mut State, value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    // `join` prints what it is given, `count` looks at everything.
    bounds::check(state, value)?;
    args.iter().try_for_each(|a| bounds::check(state, a))?;
    match (value.as_str(), method) {
        (Some(text), "format") => formatted(text, '{', args)?,
        (Some(text), "split") => split(text, args.first())?,
        (Some(text), "splitlines") => split(text, Some(&Value::from("\n")))?,
        _ => {}
    }
    pycompat::unknown_method_callback(state, value, method, args)
}

/// Refuses a format that would write too much: each field may write every value, at any width that it names.
fn formatted(template: &str, field: char, values: &[Value]) -> Result<(), Error> {
    let fields = template.matches(field).count();
    let widths = template.split(|c: char| !c.is_ascii_digit()).filter(|n| !n.is_empty());
    let widths = widths.map(|n| n.parse().unwrap_or(usize::MAX)).fold(0, usize::saturating_add);
    let values = values.iter().try_fold(0, |sum, v| bounds::size(v).map(|n| n + sum))?;
    // Numbers are at most as long as a number can be written.
    let most = fields.saturating_mul(values.saturating_add(400)).saturating_add(widths).saturating_add(template.len());
    if most > bounds::SIZE { Err(bounds::reached("format writes more than 64 MiB")) } else { Ok(()) }
}

/// Refuses to cut a string into too many parts.
fn split(text: &str, at: Option<&Value>) -> Result<(), Error> {
    let parts = match at.and_then(Value::as_str) {
        Some(at) => text.matches(at).take(PARTS).count(),
        None => text.split_whitespace().take(PARTS).count(),
    };
    if parts >= PARTS { Err(bounds::reached("a string is split into more than a million parts")) } else { Ok(()) }
}
