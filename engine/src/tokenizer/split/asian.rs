//! Stages of Arcee's Trinity: digits in threes from the right, and scripts that are written without spaces.

use super::class::{N, is, run};
use super::{Match, each};

/// Of a run of numbers, as many as are a multiple of three, from the right: what is before them is a piece of its own. Another
/// text has no match.
///
/// With the runs before and groups of three after it, `\p{N}{1,3}(?=(\p{N}{3})*(?!\p{N}))`, whose look-ahead would be over the
/// rest of the run from every group.
pub fn multiple_of_three(text: &str) -> Match {
    let none = Match { start: text.len(), end: text.len() };
    if !text.starts_with(|c| is(c, N)) {
        return none;
    }
    match text.chars().count() {
        n @ 0..=2 => Match { start: 0, end: text.char_indices().nth(n).map_or(text.len(), |(i, _)| i) },
        n => Match { start: text.char_indices().nth(n % 3).map_or(0, |(i, _)| i), end: text.len() },
    }
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

/// `[...]+` of these blocks.
pub fn scripts(text: &str) -> Match {
    let listed = |c: char| c >= BLOCKS[0].0 && BLOCKS.iter().any(|(from, to)| (*from..=*to).contains(&c));
    each(text, |t| run(t, listed))
}

#[cfg(test)]
mod tests {
    use super::BLOCKS;

    #[test]
    fn blocks_are_in_order() {
        assert!(BLOCKS.iter().all(|b| b.0 < b.1) && BLOCKS.windows(2).all(|w| w[0].1 < w[1].0));
    }
}
