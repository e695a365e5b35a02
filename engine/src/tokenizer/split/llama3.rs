//! The pattern of Llama 3 and its relatives (from cl100k):
//!
//! `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
//!
//! Qwen2 takes digits one by one; Qwen3.5 also counts marks (`\p{M}`) as letters; Seed-Coder leaves line ends alone that
//! follow punctuation. In EXAONE MoE's, a word goes on behind a space:
//!
//! `...|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+`

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

/// Behind [`llama3`], the white space of Jais 2, but for that with a line end in it: the largest power of two characters from 4
/// to 512 that other white space follows, else one or two.
///
/// `\s{512}(?!\S)|\s{256}(?!\S)|...|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1}`
pub fn halves_of_spaces(text: &str) -> Match {
    let white = |c: char| is(c, WS);
    // A piece with two of them in front has nothing else; one that has a line end ends with it.
    if text.chars().take(2).any(|c| !white(c)) || text.ends_with(newline) {
        return Match { start: text.len(), end: text.len() };
    }
    let most = text.chars().take(512).count();
    let many = match most {
        0..3 => most.min(2),
        3 => 2,
        n => 1 << n.ilog2(),
    };
    let end = text.char_indices().nth(many).map_or(text.len(), |(i, _)| i);
    Match { start: 0, end }
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

/// `(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+`: letters, each with its marks, with single spaces between them.
fn phrase(text: &str) -> usize {
    let mut end = 0;
    loop {
        let space = usize::from(end > 0 && text[end..].starts_with(' '));
        let rest = &text[end + space..];
        match rest.chars().next().filter(|c| is(*c, L)) {
            Some(c) => end += space + c.len_utf8() + run(&rest[c.len_utf8()..], |c| is(c, M)),
            None => return end,
        }
    }
}

/// Words together, digits one by one; a single line end or slash goes with punctuation.
pub fn exaone_moe(text: &str) -> Match {
    each(text, |text| {
        let n = contraction(text, true);
        if n > 0 {
            return n;
        }
        let Some(c) = text.chars().next() else { return 0 };
        if is(c, N) {
            return c.len_utf8();
        }
        let first = if newline(c) || is(c, L) { 0 } else { c.len_utf8() };
        match phrase(&text[first..]) {
            0 => {}
            n => return first + n,
        }
        let skip = usize::from(c == ' ');
        match run(&text[skip..], |c| !is(c, WS | L | N)) {
            0 => lines_or_spaces(text),
            n => skip + n + run_max(&text[skip + n..], 1, |c| newline(c) || c == '/'),
        }
    })
}
