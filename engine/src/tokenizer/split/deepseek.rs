//! The stages of the DeepSeek tokenizers, each a pattern of its own, applied to the pieces that the one before left.

use super::class::{L, M, N, P, S, WS, is, run, run_max};
use super::{Match, each, lines_or_spaces, newline, spaces};

/// `[\r\n]`
pub fn line_end(text: &str) -> Match {
    each(text, |t| run_max(t, 1, newline))
}

/// `\s?X+`
fn spaced(text: &str, f: impl Fn(char) -> bool) -> usize {
    let skip = run_max(text, 1, |c| is(c, WS));
    match run(&text[skip..], &f) {
        // A white space character may itself be in the class; then it can only match without the one before it.
        0 => run_max(text, 1, f),
        n => skip + n,
    }
}

/// `\s?\p{L}+`
pub fn letters(text: &str) -> Match {
    each(text, |t| spaced(t, |c| is(c, L)))
}

/// `\s?\p{P}+`
pub fn punctuation(text: &str) -> Match {
    each(text, |t| spaced(t, |c| is(c, P)))
}

/// `\s?[A-Za-zµÀ-Ö...]+`: the letters with case that the pattern of deepseek-llm lists.
pub fn cased_letters(text: &str) -> Match {
    each(text, |t| spaced(t, cased))
}

/// `\s?[!-/:-~！-／：-～‘-‟　-。]+` (takes in the ASCII letters)
pub fn marks_and_ascii(text: &str) -> Match {
    let listed = |c| {
        matches!(c, '!'..='/' | ':'..='~' | '\u{ff01}'..='\u{ff0f}' | '\u{ff1a}'..='\u{ff5e}'
            | '\u{2018}'..='\u{201f}' | '\u{3000}'..='\u{3002}')
    };
    each(text, |t| spaced(t, listed))
}

/// `\s+$`
pub fn trailing_spaces(text: &str) -> Match {
    let end = text.trim_end().len();
    Match { start: end, end: text.len() }
}

/// `[一-龥ࠀ-一가-퟿]+`
pub fn east_asian(text: &str) -> Match {
    let listed = |c| matches!(c, '\u{0800}'..='\u{9fa5}' | '\u{ac00}'..='\u{d7ff}');
    each(text, |t| run(t, listed))
}

/// `\p{N}{1,3}`
pub fn up_to_three_digits(text: &str) -> Match {
    each(text, |t| run_max(t, 3, |c| is(c, N)))
}

/// `[一-龥぀-ゟ゠-ヿ]+`
pub fn han_and_kana(text: &str) -> Match {
    each(text, |t| run(t, |c| matches!(c, '\u{4e00}'..='\u{9fa5}' | '\u{3040}'..='\u{30ff}')))
}

/// Blocks of Chinese, Japanese, Lao, Khmer, Burmese and Korean; of Thai, the pattern has what is behind the consonants only.
const BLOCKS: [(char, char); 14] = [
    ('\u{0e40}', '\u{0eff}'),
    ('\u{1000}', '\u{109f}'),
    ('\u{1100}', '\u{11ff}'),
    ('\u{1780}', '\u{17ff}'),
    ('\u{2f00}', '\u{2fdf}'),
    ('\u{3040}', '\u{309f}'),
    ('\u{30a0}', '\u{30ff}'),
    ('\u{3400}', '\u{4dbf}'),
    ('\u{4e00}', '\u{9fff}'),
    ('\u{a9e0}', '\u{a9ff}'),
    ('\u{aa60}', '\u{aa7f}'),
    ('\u{ac00}', '\u{d7af}'),
    ('\u{f900}', '\u{faff}'),
    ('\u{ff65}', '\u{ff9f}'),
];

/// `[...]+` of these blocks: Trinity's stage before DeepSeek's last one.
pub fn scripts(text: &str) -> Match {
    let listed = |c: char| c >= BLOCKS[0].0 && BLOCKS.iter().any(|(from, to)| (*from..=*to).contains(&c));
    each(text, |t| run(t, listed))
}

/// The last stage of DeepSeek V3:
/// ``[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+``
pub fn v3_words(text: &str) -> Match {
    words::<true>(text)
}

/// That of Spark X 2.5, where line ends are pieces of their own: `... ?[\p{P}\p{S}]+|[\r\n]|\s+(?!\S)|\s+`
pub fn spark_words(text: &str) -> Match {
    words::<false>(text)
}

fn words<const LINE_ENDS: bool>(text: &str) -> Match {
    each(text, |t| {
        let mut chars = t.chars();
        let Some(c) = chars.next() else { return 0 };
        let next = chars.next();
        if c.is_ascii_punctuation() && next.is_some_and(|n| n.is_ascii_alphabetic()) {
            return 1 + run(&t[1..], |c| c.is_ascii_alphabetic());
        }
        if is(c, L | M) {
            return run(t, |c| is(c, L | M));
        }
        let first = c.len_utf8();
        if !newline(c) && !is(c, P | S) && next.is_some_and(|n| is(n, L | M)) {
            return first + run(&t[first..], |c| is(c, L | M));
        }
        let skip = usize::from(c == ' ');
        let body = run(&t[skip..], |c| is(c, P | S));
        if body > 0 {
            let end = skip + body;
            return end + if LINE_ENDS { run(&t[end..], newline) } else { 0 };
        }
        match LINE_ENDS {
            true => lines_or_spaces(t),
            false if newline(c) => 1,
            false => spaces(t),
        }
    })
}

fn cased(c: char) -> bool {
    let c = c as u32;
    let i = CASED.partition_point(|r| r.1 < c);
    CASED.get(i).is_some_and(|r| r.0 <= c)
}

#[rustfmt::skip]
const CASED: [(u32, u32); 87] = [
    (0x41, 0x5A), (0x61, 0x7A), (0xB5, 0xB5), (0xC0, 0xD6), (0xD8, 0xF6), (0xF8, 0x1BA), (0x1BC, 0x1BF),
    (0x1C4, 0x293), (0x295, 0x2AF), (0x370, 0x373), (0x376, 0x376), (0x377, 0x377), (0x37B, 0x37D), (0x37F, 0x37F),
    (0x386, 0x386), (0x388, 0x38A), (0x38C, 0x38C), (0x38E, 0x3A1), (0x3A3, 0x3F5), (0x3F7, 0x481), (0x48A, 0x52F),
    (0x531, 0x556), (0x10A0, 0x10C5), (0x13A0, 0x13F5), (0x13F8, 0x13FD), (0x1C90, 0x1CBA), (0x1CBD, 0x1CBF),
    (0x1D00, 0x1D2B), (0x1D6B, 0x1D77), (0x1D79, 0x1D9A), (0x1E00, 0x1F15), (0x1F18, 0x1F1D), (0x1F20, 0x1F45),
    (0x1F48, 0x1F4D), (0x1F50, 0x1F57), (0x1F59, 0x1F59), (0x1F5B, 0x1F5B), (0x1F5D, 0x1F5D), (0x1F5F, 0x1F7D),
    (0x1F80, 0x1FB4), (0x1FB6, 0x1FBC), (0x1FBE, 0x1FBE), (0x1FC2, 0x1FC4), (0x1FC6, 0x1FCC), (0x1FD0, 0x1FD3),
    (0x1FD6, 0x1FDB), (0x1FE0, 0x1FEC), (0x1FF2, 0x1FF4), (0x1FF6, 0x1FFC), (0x2102, 0x2102), (0x2107, 0x2107),
    (0x210A, 0x2113), (0x2115, 0x2115), (0x2119, 0x211D), (0x2124, 0x2124), (0x2126, 0x2126), (0x2128, 0x2128),
    (0x212A, 0x212D), (0x212F, 0x2134), (0x2139, 0x2139), (0x213C, 0x213F), (0x2145, 0x2149), (0x214E, 0x214E),
    (0x2183, 0x2183), (0x2184, 0x2184), (0x2C00, 0x2C7B), (0x2C7E, 0x2CE4), (0x2CEB, 0x2CEE), (0x2CF2, 0x2CF2),
    (0x2CF3, 0x2CF3), (0xA640, 0xA66D), (0xA680, 0xA69B), (0xA722, 0xA76F), (0xA771, 0xA787), (0xA78B, 0xA78E),
    (0xAB70, 0xABBF), (0xFB00, 0xFB06), (0xFB13, 0xFB17), (0xFF21, 0xFF3A), (0xFF41, 0xFF5A), (0x10400, 0x1044F),
    (0x104B0, 0x104D3), (0x104D8, 0x104FB), (0x10C80, 0x10CB2), (0x10CC0, 0x10CF2), (0x118A0, 0x118DF),
    (0x1E900, 0x1E943),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_ascend() {
        assert!(BLOCKS.iter().all(|b| b.0 < b.1) && BLOCKS.windows(2).all(|w| w[0].1 < w[1].0));
    }

    #[test]
    fn ranges_ascend() {
        assert!(CASED.iter().all(|r| r.0 <= r.1));
        assert!(CASED.windows(2).all(|w| w[0].1 < w[1].0));
        assert!(cased('ä') && cased('Z') && cased('\u{212a}') && !cased('[') && !cased('中'));
    }
}
