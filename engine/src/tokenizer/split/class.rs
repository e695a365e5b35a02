//! Character classes of the published patterns: `\p{L}`, `\p{N}`, `\p{P}`, `\p{S}`, `\p{M}`, `\s`, and the case of letters.

use unicode_general_category::{GeneralCategory as G, get_general_category};

/// `\p{L}`
pub const L: u8 = 1;
/// `\p{N}`
pub const N: u8 = 2;
/// `\p{P}`
pub const P: u8 = 4;
/// `\p{S}`
pub const S: u8 = 8;
/// `\p{M}`
pub const M: u8 = 16;
/// `\s`
pub const WS: u8 = 32;
/// `\p{Lu}\p{Lt}`, together with [`L`].
pub const UPPER: u8 = 64;
/// `\p{Ll}`, together with [`L`].
pub const LOWER: u8 = 128;

const ASCII: [u8; 128] = {
    let mut t = [0; 128];
    let mut i = 0;
    while i < 128 {
        t[i] = match i as u8 {
            b'a'..=b'z' => L | LOWER,
            b'A'..=b'Z' => L | UPPER,
            b'0'..=b'9' => N,
            9..=13 | b' ' => WS,
            b'$' | b'+' | b'<' | b'=' | b'>' | b'^' | b'`' | b'|' | b'~' => S,
            0..=31 | 127 => 0,
            _ => P,
        };
        i += 1;
    }
    t
};

/// The classes of a character, as a bit set.
pub fn class(c: char) -> u8 {
    match ASCII.get(c as usize) {
        Some(k) => *k,
        None => wide(c),
    }
}

fn wide(c: char) -> u8 {
    let k = match get_general_category(c) {
        G::UppercaseLetter | G::TitlecaseLetter => L | UPPER,
        G::LowercaseLetter => L | LOWER,
        G::ModifierLetter | G::OtherLetter => L,
        G::DecimalNumber | G::LetterNumber | G::OtherNumber => N,
        G::ConnectorPunctuation
        | G::DashPunctuation
        | G::OpenPunctuation
        | G::ClosePunctuation
        | G::InitialPunctuation
        | G::FinalPunctuation
        | G::OtherPunctuation => P,
        G::MathSymbol | G::CurrencySymbol | G::ModifierSymbol | G::OtherSymbol => S,
        G::NonspacingMark | G::SpacingMark | G::EnclosingMark => M,
        _ => 0,
    };
    if c.is_whitespace() { k | WS } else { k }
}

/// Whether `c` is in any of the classes of `set`.
pub fn is(c: char, set: u8) -> bool {
    class(c) & set != 0
}

/// Length in bytes of the characters at the beginning of `text` that satisfy `f`.
pub fn run(text: &str, f: impl Fn(char) -> bool) -> usize {
    text.char_indices().find(|(_, c)| !f(*c)).map_or(text.len(), |(i, _)| i)
}

/// As [`run`], over at most `max` characters.
pub fn run_max(text: &str, max: usize, f: impl Fn(char) -> bool) -> usize {
    let mut n = 0;
    for c in text.chars().take(max) {
        if !f(c) {
            break;
        }
        n += c.len_utf8();
    }
    n
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ascii_table_equals_the_general_categories() {
        for i in 0..128u8 {
            assert_eq!(class(i.into()), wide(i.into()), "{:?}", char::from(i));
        }
    }

    #[test]
    fn some_wide_characters() {
        for (c, k) in [
            ('ä', L | LOWER),
            ('ǅ', L | UPPER),
            ('中', L),
            ('½', N),
            ('。', P),
            ('€', S),
            ('\u{301}', M),
            ('\u{a0}', WS),
            ('\u{3000}', WS),
            ('\u{200d}', 0),
        ] {
            assert_eq!(class(c), k, "{c:?}");
        }
    }
}
