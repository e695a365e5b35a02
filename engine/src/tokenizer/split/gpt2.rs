//! The GPT-2 pattern, and the chains that put digit or punctuation stages before it.
//!
//! `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`

use super::class::{L, N, P, WS, is, run, run_max};
use super::{Match, each, spaces};

/// The contraction at the beginning of `text` (after its apostrophe), as the patterns list them.
pub fn contraction(text: &str, any_case: bool) -> usize {
    let mut chars = text.chars();
    if chars.next() != Some('\'') {
        return 0;
    }
    let fold = |c: char| match c {
        // Case folding of `(?i:'s)` takes in the long s.
        'ſ' if any_case => 's',
        c if any_case => c.to_ascii_lowercase(),
        c => c,
    };
    let Some(a) = chars.next() else { return 0 };
    let len = 1 + a.len_utf8();
    match (fold(a), chars.next()) {
        ('s' | 't' | 'm' | 'd', _) => len,
        ('r' | 'v', Some(b)) if fold(b) == 'e' => len + 1,
        ('l', Some(b)) if fold(b) == 'l' => len + 1,
        _ => 0,
    }
}

/// Length of the first piece of `text`, which is not empty; the pattern matches everywhere.
fn piece(text: &str) -> usize {
    let n = contraction(text, false);
    if n > 0 {
        return n;
    }
    let skip = usize::from(text.starts_with(' '));
    let body = &text[skip..];
    let Some(c) = body.chars().next() else { return skip };
    if is(c, L) {
        return skip + run(body, |c| is(c, L));
    }
    if is(c, N) {
        return skip + run(body, |c| is(c, N));
    }
    if !is(c, WS) {
        return skip + run(body, |c| !is(c, WS | L | N));
    }
    spaces(text)
}

pub fn words(text: &str) -> Match {
    each(text, piece)
}

pub fn digit(text: &str) -> Match {
    each(text, |t| run_max(t, 1, |c| is(c, N)))
}

pub fn numbers(text: &str) -> Match {
    each(text, |t| run(t, |c| is(c, N)))
}

/// `[0-9][0-9][0-9]`
pub fn three_digits(text: &str) -> Match {
    each(text, |t| if run_max(t, 3, |c| c.is_ascii_digit()) == 3 { 3 } else { 0 })
}

/// `[\p{P}\$\+<=>\^~\|]+`
pub fn punctuation(text: &str) -> Match {
    each(text, |t| run(t, |c| is(c, P) || "$+<=>^~|".contains(c)))
}

/// The same with the backtick, as Falcon has it.
pub fn punctuation_backtick(text: &str) -> Match {
    each(text, |t| run(t, |c| is(c, P) || "$+<=>^~|`".contains(c)))
}

/// ` ?[^(\s|.,!?…。，、।۔،)]+`, the pattern of Bloom
pub fn bloom(text: &str) -> Match {
    let other = |c| !is(c, WS) && !"(|.,!?…。，、।۔،)".contains(c);
    each(text, |t| {
        let skip = usize::from(t.starts_with(' '));
        match run(&t[skip..], other) {
            0 => 0,
            n => skip + n,
        }
    })
}
