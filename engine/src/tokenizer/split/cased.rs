//! Patterns that split words where the case changes: o200k (GPT-4o, Llama 4) and Tekken (Mistral).
//!
//! With `U` for `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]` and `W` for `[\p{Ll}\p{Lm}\p{Lo}\p{M}]`, o200k is
//!
//! `[^\r\n\p{L}\p{N}]?U*W+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?U+W*(?i:'s|'t|'re|'ve|'m|'ll|'d)?`
//! `|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`
//!
//! Tekken has no contractions and takes digits one by one. Kimi K2's (and Moonlight's) takes runs of Chinese characters first,
//! `\p{Han}+|...`, leaves them out of `U` and `W`, and has no slash behind punctuation.

use super::class::{L, LOWER, M, N, UPPER, WS, class, is, run, run_max};
use super::gpt2::contraction;
use super::{Match, each, lines_or_spaces, newline};

/// `\p{Han}` of Unicode 16.
#[rustfmt::skip]
const HAN: [(u32, u32); 21] = [
    (0x2e80, 0x2e99), (0x2e9b, 0x2ef3), (0x2f00, 0x2fd5), (0x3005, 0x3005), (0x3007, 0x3007), (0x3021, 0x3029),
    (0x3038, 0x303b), (0x3400, 0x4dbf), (0x4e00, 0x9fff), (0xf900, 0xfa6d), (0xfa70, 0xfad9), (0x16fe2, 0x16fe3),
    (0x16ff0, 0x16ff1), (0x20000, 0x2a6df), (0x2a700, 0x2b739), (0x2b740, 0x2b81d), (0x2b820, 0x2cea1),
    (0x2ceb0, 0x2ebe0), (0x2ebf0, 0x2ee5d), (0x2f800, 0x2fa1d), (0x30000, 0x323af),
];

/// Whether `c` is a Chinese character.
fn han(c: char) -> bool {
    let c = c as u32;
    c >= HAN[0].0 && HAN.get(HAN.partition_point(|r| r.1 < c)).is_some_and(|r| r.0 <= c)
}

/// `U`: letters and marks that are not lower case; if they are `APART`, nor Chinese.
fn upper<const APART: bool>(c: char) -> bool {
    let k = class(c);
    k & (L | M) != 0 && k & LOWER == 0 && !(APART && han(c))
}

/// `W`: letters and marks that are not upper or title case; if they are `APART`, nor Chinese.
fn lower<const APART: bool>(c: char) -> bool {
    let k = class(c);
    k & (L | M) != 0 && k & UPPER == 0 && !(APART && han(c))
}

/// `U*W+` at the beginning of `text`.
fn capitalised<const APART: bool>(text: &str) -> usize {
    let head = run(text, upper::<APART>);
    let tail = run(&text[head..], lower::<APART>);
    if tail > 0 {
        return head + tail;
    }
    // `U*` gives back characters until one of them is a `W`, too. Those behind it are not, so it is the last.
    text[..head].char_indices().rfind(|(_, c)| lower::<APART>(*c)).map_or(0, |(i, c)| i + c.len_utf8())
}

/// The two alternatives for words.
fn word<const APART: bool>(text: &str, c: char) -> usize {
    // A mark may be the character before the word, or in it.
    let before = if newline(c) || is(c, L | N) { 0 } else { c.len_utf8() };
    if before > 0 {
        let n = capitalised::<APART>(&text[before..]);
        if n > 0 {
            return before + n;
        }
    }
    let n = capitalised::<APART>(text);
    if n > 0 {
        return n;
    }
    // `U+W*`, where no `W` can follow: that was the first alternative.
    match run(&text[before..], upper::<APART>) {
        0 => 0,
        n => before + n,
    }
}

fn piece<const DIGITS: usize, const CONTRACTIONS: bool, const APART: bool>(text: &str) -> usize {
    let Some(c) = text.chars().next() else { return 0 };
    if APART && han(c) {
        return run(text, han);
    }
    let n = word::<APART>(text, c);
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
        return end + run(&text[end..], |c| newline(c) || !APART && c == '/');
    }
    lines_or_spaces(text)
}

/// o200k.
pub fn o200k(text: &str) -> Match {
    each(text, piece::<3, true, false>)
}

/// Tekken.
pub fn tekken(text: &str) -> Match {
    each(text, piece::<1, false, false>)
}

/// Kimi K2.
pub fn kimi(text: &str) -> Match {
    each(text, piece::<3, true, true>)
}

#[cfg(test)]
mod tests {
    use super::HAN;

    #[test]
    fn chinese_ranges_ascend() {
        assert!(HAN.iter().all(|r| r.0 <= r.1) && HAN.windows(2).all(|w| w[0].1 < w[1].0));
    }
}
