//! SentencePiece style byte-pair encoding (`tokenizer.ggml.model` = `llama`): the pair that makes the token with the
//! best score merges first; characters that no token covers become byte tokens.

use super::agglomerate::{Agglomerator, NONE, bounded};
use super::error::TokenizerError;
use super::vocab::{Kind, Vocab, plain_spaces};

#[derive(Clone)]
pub(super) struct Sentence {
    /// Order of merging by token: the better the score, the lower.
    keys: Vec<u32>,
    /// A space goes before the text, and before the text after a special token.
    pub space_prefix: bool,
    unknown: Option<u32>,
    /// No token has a space after another character, so that words merge independently.
    by_words: bool,
}

/// Keeps the order of floats, reversed; never [`NONE`], as NaN was refused.
fn key(score: f32) -> u32 {
    // Adding zero makes -0.0 the same as 0.0.
    let bits = (score + 0.0).to_bits();
    if bits >> 31 == 0 { !(bits | 1 << 31) } else { bits }
}

impl Sentence {
    pub fn new(
        vocab: &Vocab,
        scores: &[f32],
        space_prefix: bool,
        unknown: Option<u32>,
    ) -> Result<Self, TokenizerError> {
        if scores.len() != vocab.len() {
            let key = "tokenizer.ggml.scores";
            return Err(TokenizerError::Length { key, have: scores.len(), tokens: vocab.len() });
        }
        if let Some(id) = scores.iter().position(|s| s.is_nan()) {
            return Err(TokenizerError::Score { id });
        }
        let crosses = |b: &[u8]| b.windows(2).any(|w| w[0] != b' ' && w[1] == b' ');
        let by_words = !vocab.ids(|k| k == Kind::Normal).any(|id| crosses(vocab.bytes(id)));
        Ok(Self { keys: scores.iter().map(|s| key(*s)).collect(), space_prefix, unknown, by_words })
    }

    /// Appends the tokens of `text`, which begins the whole text or follows a special token.
    pub fn encode(&self, vocab: &Vocab, text: &str, work: &mut Agglomerator, out: &mut Vec<u32>) {
        let mut plain = Vec::with_capacity(text.len() + 1);
        if self.space_prefix {
            plain.push(b' ');
        }
        plain_spaces(text.as_bytes(), &mut plain);
        // Replacing whole characters keeps it UTF-8.
        let Ok(mut rest) = std::str::from_utf8(&plain) else { return };
        while !rest.is_empty() {
            let (word, after) = rest.split_at(if self.by_words { word_end(rest) } else { rest.len() });
            for part in bounded(word) {
                self.merge(vocab, part, work, out);
            }
            rest = after;
        }
    }

    fn merge(&self, vocab: &Vocab, text: &str, work: &mut Agglomerator, out: &mut Vec<u32>) {
        let b = text.as_bytes();
        let symbols = text.char_indices().map(|(i, c)| {
            let n = c.len_utf8();
            (n, vocab.find(&b[i..i + n]).unwrap_or(NONE))
        });
        let pair = |start: usize, _, end: usize| {
            let id = vocab.find(&b[start..end])?;
            Some((*self.keys.get(id as usize)?, id))
        };
        work.run(symbols, pair, |start, end, id| {
            let char = &b[start..end];
            if id != NONE {
                out.push(id);
            } else if char.iter().all(|b| vocab.byte_id(*b).is_some()) {
                out.extend(char.iter().filter_map(|b| vocab.byte_id(*b)));
            } else {
                out.extend(self.unknown);
            }
        });
    }
}

/// End of the spaces at the beginning of `text` and of the word after them.
fn word_end(text: &str) -> usize {
    let b = text.as_bytes();
    let word = b.iter().position(|b| *b != b' ').unwrap_or(b.len());
    b[word..].iter().position(|b| *b == b' ').map_or(b.len(), |i| word + i)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_order_scores() {
        let scores = [f32::INFINITY, 3.5, 0.0, -1e-40, -1.0, -3e4, f32::NEG_INFINITY];
        assert!(scores.windows(2).all(|w| key(w[0]) < key(w[1])));
        assert_eq!(key(0.0), key(-0.0));
        assert!(scores.iter().all(|s| key(*s) != NONE));
    }

    #[test]
    fn words() {
        assert_eq!(["  ab cd", "ab  ", " ", "ab"].map(word_end), [4, 2, 1, 2]);
    }
}
