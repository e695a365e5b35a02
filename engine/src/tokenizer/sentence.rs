//! SentencePiece style byte-pair encoding (`tokenizer.ggml.model` = `llama` or `gemma4`): symbols are characters, the
//! best pair merges first, and characters that no token covers become byte tokens.
//!
//! Which pair is best: the one that makes the token with the best score (`llama`), or the first of the file's list of
//! merges (`gemma4`).

use super::agglomerate::{Agglomerator, NONE, bounded};
use super::error::TokenizerError;
use super::merges::Merges;
use super::source::Strings;
use super::vocab::{Kind, Vocab, plain_spaces};
use super::whole::Whole;

#[derive(Clone)]
pub(super) struct Sentence {
    order: Order,
    /// A space goes before the text, and before the text after a special token.
    pub space_prefix: bool,
    unknown: Option<u32>,
    seams: Seams,
    whole: Whole,
}

/// In which order pairs merge.
#[derive(Clone)]
enum Order {
    /// A key by token: the better the score, the lower.
    Scores(Vec<u32>),
    Merges(Merges),
}

/// Keeps the order of floats, reversed; never [`NONE`], as NaN was refused.
fn key(score: f32) -> u32 {
    // Adding zero makes -0.0 the same as 0.0.
    let bits = (score + 0.0).to_bits();
    if bits >> 31 == 0 { !(bits | 1 << 31) } else { bits }
}

impl Sentence {
    /// The order by scores, one for each token.
    pub fn by_scores(vocab: &Vocab, scores: &[f32]) -> Result<Self, TokenizerError> {
        if scores.len() != vocab.len() {
            let key = "tokenizer.ggml.scores";
            return Err(TokenizerError::Length { key, have: scores.len(), tokens: vocab.len() });
        }
        if let Some(id) = scores.iter().position(|s| s.is_nan()) {
            return Err(TokenizerError::Score { id });
        }
        Ok(Self::new(vocab, Order::Scores(scores.iter().map(|s| key(*s)).collect())))
    }

    /// The order of a list of merges.
    pub fn by_merges(vocab: &Vocab, merges: &Strings<'_>) -> Result<Self, TokenizerError> {
        Ok(Self::new(vocab, Order::Merges(Merges::new(vocab, merges)?)))
    }

    fn new(vocab: &Vocab, order: Order) -> Self {
        Self { order, space_prefix: false, unknown: None, seams: Seams::new(vocab), whole: Whole::new(vocab.len()) }
    }

    /// With a space before texts, or not.
    pub fn space_prefix(self, space_prefix: bool) -> Self {
        Self { space_prefix, ..self }
    }

    /// With this token for characters of which neither a token nor the bytes are known.
    pub fn unknown(self, unknown: Option<u32>) -> Self {
        Self { unknown, ..self }
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
            let (word, after) = rest.split_at(self.seams.first(rest));
            rest = after;
            let token = vocab.find(word.as_bytes());
            if let Some(id) = token.filter(|id| self.whole.known(*id)) {
                out.push(id);
                continue;
            }
            let before = out.len();
            for part in bounded(word) {
                self.merge(vocab, part, work, out);
            }
            if let Some(id) = token {
                self.whole.learn(id, &out[before..]);
            }
        }
    }

    fn merge(&self, vocab: &Vocab, text: &str, work: &mut Agglomerator, out: &mut Vec<u32>) {
        let b = text.as_bytes();
        let symbols = text.char_indices().map(|(i, c)| {
            let n = c.len_utf8();
            (n, vocab.find(&b[i..i + n]).unwrap_or(NONE))
        });
        let pair = |start: usize, cut: usize, end: usize| {
            let id = vocab.find(&b[start..end])?;
            match &self.order {
                Order::Scores(keys) => Some((*keys.get(id as usize)?, id)),
                Order::Merges(merges) => Some((merges.rank(id, cut - start)?, id)),
            }
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

/// Where no token can reach across: two neighbouring bytes that stand side by side in no token. Text falls into words
/// there (mostly before spaces), which merge independently, so that a long text costs no more than its words.
#[derive(Clone)]
struct Seams {
    /// A bit for each pair of bytes that some token has.
    pairs: Box<[u64; 1024]>,
}

impl Seams {
    fn new(vocab: &Vocab) -> Self {
        let mut pairs = Box::new([0; 1024]);
        for id in vocab.ids(|k| k == Kind::Normal) {
            for w in vocab.bytes(id).windows(2) {
                let (word, bit) = place(w[0], w[1]);
                pairs[word] |= bit;
            }
        }
        Self { pairs }
    }

    /// The first seam behind the beginning of `text`; its end, if there is none.
    fn first(&self, text: &str) -> usize {
        let seam = |w: &[u8]| {
            let (word, bit) = place(w[0], w[1]);
            self.pairs[word] & bit == 0
        };
        let b = text.as_bytes();
        let mut pairs = b.windows(2).enumerate();
        // A character is one symbol whether or not tokens have its bytes.
        pairs.find(|(i, w)| seam(w) && text.is_char_boundary(i + 1)).map_or(b.len(), |(i, _)| i + 1)
    }
}

fn place(a: u8, b: u8) -> (usize, u64) {
    let pair = usize::from(a) << 8 | usize::from(b);
    (pair / 64, 1 << (pair % 64))
}

#[cfg(test)]
mod tests {
    use super::super::vocab::Spelling;
    use super::*;

    #[test]
    fn keys_order_scores() {
        let scores = [f32::INFINITY, 3.5, 0.0, -1e-40, -1.0, -3e4, f32::NEG_INFINITY];
        assert!(scores.windows(2).all(|w| key(w[0]) < key(w[1])));
        assert_eq!(key(0.0), key(-0.0));
        assert!(scores.iter().all(|s| key(*s) != NONE));
    }

    #[test]
    fn words_end_where_no_token_reaches_across() {
        let tokens: Vec<&[u8]> = vec!["▁ab".as_bytes(), "▁▁".as_bytes(), b"c", "bé".as_bytes()];
        let vocab = Vocab::new(&tokens.into(), None, Spelling::Sentence).unwrap();
        let seams = Seams::new(&vocab);
        let words = |mut rest: &str| {
            let mut words = Vec::new();
            while !rest.is_empty() {
                let (word, after) = rest.split_at(seams.first(rest));
                words.push(word.to_owned());
                rest = after;
            }
            words
        };
        assert_eq!(words("  ab abc"), ["  ab", " ab", "c"]);
        // `bé` is in a token; `b€` is not, nor are the bytes of `€`, which stay together.
        assert_eq!(words("béb€€ "), ["bé", "b", "€", "€", " "]);
        assert_eq!(words("cc"), ["c", "c"]);
    }
}
