//! Reading what must fit into memory: files of text, standard input, lines of it. More than [`LIMIT`] is refused before
//! it is read, so that a wrong path (a model, `/dev/zero`) is an error and not the end of the machine's memory.

use crate::errors::CliError;
use std::fs::File;
use std::io::{self, BufRead, Read};
use std::path::Path;

/// Bytes of a text: far more than any context holds.
pub const LIMIT: usize = 64 << 20;

/// A file, whole.
pub fn file(path: &Path) -> Result<Vec<u8>, CliError> {
    let fail = |e: io::Error| CliError::file("read", path, &e);
    let file = File::open(path).map_err(fail)?;
    // What is known to be too long need not be read; pipes and devices have no length.
    let long = file.metadata().map_err(fail)?.len() > LIMIT as u64;
    let bytes = if long { None } else { whole(file).map_err(fail)? };
    bytes.ok_or_else(|| too_long(&path.display().to_string()))
}

/// A file of text.
pub fn text_file(path: &Path) -> Result<String, CliError> {
    let text = String::from_utf8(file(path)?);
    text.map_err(|_| CliError::failure(format!("{} is not text", path.display()), "it must be UTF-8 text"))
}

/// What comes by standard input, to its end.
pub fn standard_input() -> Result<String, CliError> {
    let bytes = whole(io::stdin().lock()).map_err(|e| unreadable(&e))?.ok_or_else(|| too_long("standard input"))?;
    String::from_utf8(bytes).map_err(|_| not_text())
}

/// The next line, without its end.
pub fn line(input: &mut impl BufRead) -> Result<Option<String>, CliError> {
    let mut bytes = Vec::new();
    input.take(LIMIT as u64 + 1).read_until(b'\n', &mut bytes).map_err(|e| unreadable(&e))?;
    if bytes.is_empty() {
        return Ok(None);
    }
    if bytes.pop_if(|b| *b == b'\n').is_some() {
        bytes.pop_if(|b| *b == b'\r');
    }
    if bytes.len() > LIMIT {
        return Err(too_long("a line of standard input"));
    }
    let text = String::from_utf8(bytes).map_err(|_| not_text())?;
    Ok(Some(text))
}

/// The error for a text over the limit.
pub fn too_long(what: &str) -> CliError {
    CliError::failure(format!("{what} is longer than {} MiB", LIMIT >> 20), "no model reads so much; give it less text")
}

fn unreadable(e: &io::Error) -> CliError {
    CliError::failure(format!("cannot read standard input: {e}"), "check where the input comes from")
}

fn not_text() -> CliError {
    CliError::failure("standard input is not text", "it must be UTF-8 text")
}

/// All there is, unless that is more than the limit.
fn whole(from: impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    from.take(LIMIT as u64 + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() <= LIMIT).then_some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_as_everywhere() {
        let mut input = "a\r\n\nb\rc\nlast".as_bytes();
        let mut next = || line(&mut input).unwrap();
        assert_eq!(
            [next(), next(), next(), next(), next()].map(|l| l.map_or("-".into(), |l| l)),
            ["a", "", "b\rc", "last", "-"]
        );
        assert!(line(&mut &b"\xff\n"[..]).is_err());
    }

    #[test]
    fn endless_input_is_refused() {
        assert!(whole(io::repeat(b'x')).unwrap().is_none());
        assert!(line(&mut io::BufReader::new(io::repeat(b'x'))).is_err());
        assert_eq!(whole(io::repeat(b'x').take(LIMIT as u64)).unwrap().map(|b| b.len()), Some(LIMIT));
    }
}
