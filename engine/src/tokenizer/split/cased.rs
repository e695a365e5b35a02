//! Patterns that split words where the case changes: o200k (GPT-4o, Llama 4) and Tekken (Mistral).
//!
//! With `U` for `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]` and `W` for `[\p{Ll}\p{Lm}\p{Lo}\p{M}]`, o200k is
//!
//! `[^\r\n\p{L}\p{N}]?U*W+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?U+W*(?i:'s|'t|'re|'ve|'m|'ll|'d)?`
//! `|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`
//!
//! Tekken has no contractions and takes digits one by one.

use super::class::{L, LOWER, M, N, UPPER, WS, class, is, run, run_max};
use super::gpt2::contraction;
use super::{Match, each, lines_or_spaces, newline};

/// `U`: letters and marks that are not lower case.
fn upper(c: char) -> bool {
    let k = class(c);
    k & (L | M) != 0 && k & LOWER == 0
}

/// `W`: letters and marks that are not upper or title case.
fn lower(c: char) -> bool {
    let k = class(c);
    k & (L | M) != 0 && k & UPPER == 0
}

/// `U*W+` at the beginning of `text`.
fn capitalised(text: &str) -> usize {
    let head = run(text, upper);
    let tail = run(&text[head..], lower);
    if tail > 0 {
        return head + tail;
    }
    // `U*` gives back characters until one of them is a `W`, too. Those behind it are not, so it is the last.
    text[..head].char_indices().rfind(|(_, c)| lower(*c)).map_or(0, |(i, c)| i + c.len_utf8())
}

/// The two alternatives for words.
fn word(text: &str, c: char) -> usize {
    // A mark may be the character before the word, or in it.
    let before = if newline(c) || is(c, L | N) { 0 } else { c.len_utf8() };
    if before > 0 {
        let n = capitalised(&text[before..]);
        if n > 0 {
            return before + n;
        }
    }
    let n = capitalised(text);
    if n > 0 {
        return n;
    }
    // `U+W*`, where no `W` can follow: that was the first alternative.
    match run(&text[before..], upper) {
        0 => 0,
        n => before + n,
    }
}

fn piece<const DIGITS: usize, const CONTRACTIONS: bool>(text: &str) -> usize {
    let Some(c) = text.chars().next() else { return 0 };
    let n = word(text, c);
    if n > 0 {
        return n + if CONTRACTIONS { contraction(&text[n..], true) } else { 0 };
    }
    if is(c, N) {
        return run_max(text, DIGITS, |c| is(c, N));
    }
    let skip = usize::from(c == ' ');
    let body = run(&text[skip..], |c| !is(c, WS | L | N));
    if body > 0 {
        let end = skip + body;
        return end + run(&text[end..], |c| newline(c) || c == '/');
    }
    lines_or_spaces(text)
}

/// o200k.
pub fn o200k(text: &str) -> Match {
    each(text, piece::<3, true>)
}

/// Tekken.
pub fn tekken(text: &str) -> Match {
    each(text, piece::<1, false>)
}
