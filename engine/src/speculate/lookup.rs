//! Guesses from repetition: what came after the same tokens before.
//!
//! Answers repeat a good deal of what they are about: names, code, numbers, the question itself. The longest earlier
//! occurrence of the end of the text is found as compressors of the family of LZ77 do it (J. Ziv, A. Lempel, IEEE Trans. Inf.
//! Theory 23, 1977), by chains of positions behind the same pair of tokens. That a speculative check may take its guesses
//! from the text itself is A. Saxena's idea ("Prompt Lookup Decoding", 2023).

use super::odds::Odds;
use std::collections::HashMap;

/// Kinds of matches by their length: 2, 3, 4, 5 to 7, 8 to 15, 16 to 31, longer.
const KINDS: usize = 7;
/// How often the next token is guessed right at first; learnt as it goes.
const PRIOR: [f32; KINDS] = [0.25, 0.35, 0.45, 0.55, 0.7, 0.8, 0.9];
/// Earlier occurrences that are looked at.
const TRIES: usize = 32;
/// Matches are not measured beyond this.
const LONG: usize = 32;

fn kind(len: usize) -> usize {
    match len {
        0..=2 => 0,
        3 => 1,
        4 => 2,
        5..8 => 3,
        8..16 => 4,
        16..32 => 5,
        _ => 6,
    }
}

/// An earlier occurrence of the end of the text.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Match {
    /// The position behind it: that of the token to guess.
    next: usize,
    /// Tokens that are the same.
    len: usize,
}

/// A text, and where its pairs of tokens are.
#[derive(Clone, Debug)]
pub(super) struct Lookup {
    tokens: Vec<u32>,
    /// By the pair that ends there: the last position behind it.
    last: HashMap<[u32; 2], u32>,
    /// By position: the one before it behind the same pair; 0 where there is none.
    before: Vec<u32>,
    found: Option<Match>,
    odds: Odds<KINDS>,
}

impl Lookup {
    pub fn new() -> Self {
        let odds = Odds::new(PRIOR);
        Self { tokens: Vec::new(), last: HashMap::new(), before: vec![0], found: None, odds }
    }

    /// Takes `text` in place of what was there. Guesses for its tokens from `own` on, which the model chose, count for those
    /// to come.
    pub fn follow(&mut self, text: &[u32], own: usize) {
        let same = self.tokens.iter().zip(text).take_while(|(a, b)| a == b).count();
        while self.tokens.len() > same {
            self.pop();
        }
        for (i, token) in text.iter().enumerate().skip(same) {
            self.push(*token, i >= own);
        }
    }

    /// What comes next by the longest match, without end: behind the text it begins anew, as what repeats itself does. Each
    /// with the probability that it is right if those before it are.
    pub fn guesses(&self) -> impl Iterator<Item = (u32, f32)> {
        self.found.into_iter().flat_map(move |m| {
            let again = self.tokens[m.next..].iter().cycle().enumerate();
            again.map(move |(i, token)| (*token, self.odds.of(kind(m.len + i))))
        })
    }

    fn push(&mut self, token: u32, own: bool) {
        let expected = self.found.map(|m| (m, self.tokens[m.next] == token));
        if let Some((m, right)) = expected.filter(|_| own) {
            self.odds.note(kind(m.len), right);
        }
        self.tokens.push(token);
        // A match that goes on may not be the longest one, but it is a long one.
        self.found = match expected {
            Some((m, true)) => Some(Match { next: m.next + 1, len: m.len + 1 }),
            _ => self.find(),
        };
        // Behind the search, which would find the end itself.
        let at = self.tokens.len();
        let before = self.pair().map(|pair| self.last.insert(pair, at as u32).unwrap_or(0));
        self.before.push(before.unwrap_or(0));
    }

    fn pop(&mut self) {
        let before = self.before.pop();
        if let Some(pair) = self.pair() {
            match before {
                None | Some(0) => self.last.remove(&pair),
                Some(before) => self.last.insert(pair, before),
            };
        }
        self.tokens.pop();
        self.found = None;
    }

    /// The last two tokens.
    fn pair(&self) -> Option<[u32; 2]> {
        self.tokens.last_chunk::<2>().copied()
    }

    /// The longest of the latest occurrences of the end; of equals the latest.
    fn find(&self) -> Option<Match> {
        let mut at = self.pair().and_then(|pair| self.last.get(&pair)).map_or(0, |at| *at as usize);
        let mut best = None;
        for _ in 0..TRIES {
            if at == 0 {
                break;
            }
            let ends = self.tokens[..at].iter().rev().zip(self.tokens.iter().rev());
            let len = ends.take(LONG).take_while(|(a, b)| a == b).count();
            if best.is_none_or(|m: Match| len > m.len) {
                best = Some(Match { next: at, len });
            }
            if len == LONG {
                break;
            }
            at = self.before[at] as usize;
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guesses(lookup: &Lookup) -> Vec<u32> {
        lookup.guesses().map(|(t, _)| t).take(6).collect()
    }

    /// The same by comparing everything with everything; any number of occurrences.
    fn naive(text: &[u32]) -> Option<Match> {
        let end = text.len();
        let mut best = None;
        for next in (2..end).rev() {
            let len = (0..next.min(LONG)).take_while(|i| text[next - 1 - i] == text[end - 1 - i]).count();
            if len >= 2 && best.is_none_or(|m: Match| len > m.len) {
                best = Some(Match { next, len });
            }
        }
        best
    }

    #[test]
    fn what_came_after_the_same_tokens() {
        let mut lookup = Lookup::new();
        lookup.follow(&[1, 2, 3, 4, 5, 1, 2], 0);
        assert_eq!(guesses(&lookup), [3, 4, 5, 1, 2, 3]);
        // The longer match, though the shorter one is later.
        lookup.follow(&[7, 1, 2, 3, 9, 1, 2, 4, 7, 1, 2], 0);
        assert_eq!(guesses(&lookup)[0], 3);
        for text in [&[][..], &[1], &[1, 1], &[1, 2, 3]] {
            lookup.follow(text, 0);
            assert_eq!(guesses(&lookup), [0; 0], "{text:?}");
        }
        lookup.follow(&[4; 10], 0);
        assert_eq!(guesses(&lookup), [4; 6]);
    }

    #[test]
    fn the_longest_match_is_found_wherever_the_text_was_changed() {
        // Small numbers from a linear congruence: few enough occurrences of each pair to look at all.
        let mut x = 1u32;
        let mut next = || {
            x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (x >> 16) % 6
        };
        let mut lookup = Lookup::new();
        let mut text: Vec<u32> = Vec::new();
        for round in 0..200 {
            text.truncate(text.len() - (next() as usize * 5).min(text.len()));
            text.extend((0..next() + 1).map(|_| next()));
            lookup.follow(&text, 0);
            let mut fresh = Lookup::new();
            fresh.follow(&text, 0);
            assert_eq!(lookup.before, fresh.before, "round {round}");
            assert_eq!(lookup.last, fresh.last, "round {round}");
            // Without the end in the index, as when it was searched.
            lookup.pop();
            let popped = text.pop().unwrap();
            lookup.tokens.push(popped);
            text.push(popped);
            if lookup.tokens.len() < 120 {
                assert_eq!(lookup.find(), naive(&text), "round {round}: {text:?}");
            }
            lookup.tokens.pop();
            lookup.push(popped, false);
        }
    }

    #[test]
    fn only_what_the_model_chose_is_learnt_from() {
        let text: Vec<u32> = (0..40).map(|i| i % 4).collect();
        let mut lookup = Lookup::new();
        lookup.follow(&text, text.len());
        let told = lookup.guesses().next().unwrap().1;
        let mut learnt = Lookup::new();
        learnt.follow(&text, 10);
        assert!(learnt.guesses().next().unwrap().1 > told);
    }
}
