//! The pattern of Llama 3 and its relatives (from cl100k):
//!
//! `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
//!
//! Qwen2 takes digits one by one; Qwen3.5 also counts marks (`\p{M}`) as letters; Seed-Coder leaves line ends alone that
//! follow punctuation.

use super::class::{L, M, N, WS, is, run, run_max};
use super::gpt2::contraction;
use super::{Match, each, lines_or_spaces, newline};

fn piece<const DIGITS: usize, const LETTER: u8, const LINE_ENDS: bool>(text: &str) -> usize {
    let n = contraction(text, true);
    if n > 0 {
        return n;
    }
    let mut chars = text.chars();
    let Some(c) = chars.next() else { return 0 };
    if is(c, LETTER) {
        return run(text, |c| is(c, LETTER));
    }
    if is(c, N) {
        return run_max(text, DIGITS, |c| is(c, N));
    }
    let first = c.len_utf8();
    if !newline(c) && chars.next().is_some_and(|c| is(c, LETTER)) {
        return first + run(&text[first..], |c| is(c, LETTER));
    }
    let skip = usize::from(c == ' ');
    let body = run(&text[skip..], |c| !is(c, WS | LETTER | N));
    if body > 0 {
        let end = skip + body;
        return end + if LINE_ENDS { run(&text[end..], newline) } else { 0 };
    }
    lines_or_spaces(text)
}

/// Digits in groups of up to three.
pub fn llama3(text: &str) -> Match {
    each(text, piece::<3, L, true>)
}

/// Digits one by one.
pub fn qwen2(text: &str) -> Match {
    each(text, piece::<1, L, true>)
}

/// Digits one by one, marks are letters.
pub fn qwen35(text: &str) -> Match {
    each(text, piece::<1, { L | M }, true>)
}

/// Digits one by one; ` ?[^\s\p{L}\p{N}]+` without the line ends.
pub fn seed_coder(text: &str) -> Match {
    each(text, piece::<1, L, false>)
}
