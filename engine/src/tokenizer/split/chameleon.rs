//! The first stages of Chameleon's chain; digits and the GPT-2 pattern follow.

use super::class::{P, is, run, run_max};
use super::{Match, each};

/// `<sentinel:[0-9]+>`
pub fn sentinel(text: &str) -> Match {
    const HEAD: &str = "<sentinel:";
    each(text, |t| match t.strip_prefix(HEAD) {
        Some(rest) => {
            let digits = run(rest, |c| c.is_ascii_digit());
            let closed = digits > 0 && rest[digits..].starts_with('>');
            if closed { HEAD.len() + digits + 1 } else { 0 }
        }
        None => 0,
    })
}

/// `(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z`
pub fn image(text: &str) -> Match {
    const HEAD: &str = "IMGIMG";
    each(text, |t| match t.strip_prefix(HEAD) {
        Some(rest) => {
            let letters = run_max(rest, 4, |c| ('A'..='I').contains(&c));
            let closed = letters > 0 && rest[letters..].starts_with('Z');
            if closed { HEAD.len() + letters + 1 } else { 0 }
        }
        None => 0,
    })
}

/// `([\t\n]|    |  )`
pub fn blanks(text: &str) -> Match {
    each(text, |t| match t.as_bytes() {
        [b'\t' | b'\n', ..] => 1,
        [b' ', b' ', b' ', b' ', ..] => 4,
        [b' ', b' ', ..] => 2,
        _ => 0,
    })
}

/// ``[\p{P}!-/:-@\[-`{-~]``
pub fn mark(text: &str) -> Match {
    each(text, |t| run_max(t, 1, |c| is(c, P) || c.is_ascii_punctuation()))
}
