//! Digits in threes from the right, of Trinity, of Tiny Aya and of SuperBPE. A stage that looked ahead over the rest of a run from every
//! group would take its square in time, so a run is a piece of its own first and is then cut in two.

use super::Match;
use super::class::{L, M, N, is, run};
use unicode_general_category::{GeneralCategory, get_general_category};

/// `\d`
fn digit(c: char) -> bool {
    c.is_ascii_digit() || !c.is_ascii() && get_general_category(c) == GeneralCategory::DecimalNumber
}

/// `\w`
fn word(c: char) -> bool {
    let joins = |c| get_general_category(c) == GeneralCategory::ConnectorPunctuation;
    is(c, L | M) || digit(c) || c.is_alphabetic() || joins(c)
}

/// `\d+\b`, a whole run or nothing of it: with [`threes_of_digits`] and groups of three after it `\d{1,3}(?=(?:\d{3})*\b)`, the pattern of Tiny Aya.
pub fn number_words(text: &str) -> Match {
    let mut at = 0;
    while let Some(first) = text[at..].find(digit) {
        let start = at + first;
        let end = start + run(&text[start..], digit);
        if !text[end..].starts_with(word) {
            return Match { start, end };
        }
        at = end;
    }
    Match { start: text.len(), end: text.len() }
}

/// Of a text that is all of a kind of digits, as many as are a multiple of three, from the right: what is before them is a piece
/// of its own. Another text has no match.
fn multiple_of_three(text: &str, kind: impl Fn(char) -> bool) -> Match {
    if text.is_empty() || !text.chars().all(kind) {
        return Match { start: text.len(), end: text.len() };
    }
    let lead = text.chars().count() % 3;
    let start = text.char_indices().nth(lead).map_or(text.len(), |(i, _)| i);
    Match { start, end: text.len() }
}

/// Behind [`number_words`].
pub fn threes_of_digits(text: &str) -> Match {
    multiple_of_three(text, digit)
}

/// With the runs of numbers before and groups of three after it `\p{N}{1,3}(?=(\p{N}{3})*(?!\p{N}))`, the pattern of Trinity.
pub fn threes_of_numbers(text: &str) -> Match {
    multiple_of_three(text, |c| is(c, N))
}

/// The text up to the first digit that a multiple of three are behind, itself among them, within a run of digits; of another run
/// where the text begins with that.
///
/// With [`threes`] after it `(?=(\d{3})+(?!\d))`, which matches between characters: the pattern of SuperBPE.
pub fn up_to_threes(text: &str) -> Match {
    let mut at = 0;
    while let Some(first) = text[at..].find(digit) {
        let start = at + first;
        let all = &text[start..start + run(&text[start..], digit)];
        let n = all.chars().count();
        let lead = all.char_indices().nth(n % 3).map_or(all.len(), |(i, _)| i);
        if n >= 3 && start + lead > 0 {
            return Match { start: 0, end: start + lead };
        }
        at = start + all.len();
    }
    Match { start: 0, end: text.len() }
}

/// Three digits that another one follows; what begins otherwise is one piece.
pub fn threes(text: &str) -> Match {
    let end = text.char_indices().nth(3).map_or(text.len(), |(i, _)| i);
    match text.chars().take(4).all(digit) && end < text.len() {
        true => Match { start: 0, end },
        false => Match { start: 0, end: text.len() },
    }
}
