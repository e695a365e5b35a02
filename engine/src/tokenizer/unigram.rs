//! Unigram (`tokenizer.ggml.model` = `t5`): of all ways to cut the normalised text into tokens, the one whose scores sum to
//! the most, found from left to right (Viterbi).
//!
//! A character that is no token by itself may become the unknown token, at a score below all others; neighbouring ones give
//! one unknown token together. Normalising is SentencePiece's: the file's table of characters, then spaces.

use super::agglomerate::MAX_PIECE;
use super::charsmap::CharsMap;
use super::error::TokenizerError;
use super::source::VocabSource;
use super::trie::Trie;
use super::vocab::{Kind, MARK, Vocab};

/// How far the unknown token's score is below the least.
const UNKNOWN_PENALTY: f64 = 10.0;

#[derive(Clone)]
pub(super) struct Unigram {
    trie: Trie,
    scores: Vec<f64>,
    unknown: u32,
    unknown_score: f64,
    /// A space goes before the text, and before the text after a special token.
    pub space_prefix: bool,
    /// Several spaces are one, and those at the ends none.
    merge_spaces: bool,
    map: Option<CharsMap>,
}

/// The best way to come to a place.
#[derive(Clone, Copy)]
struct Step {
    score: f64,
    token: u32,
    /// Length of that token in bytes.
    len: u32,
}

const UNREACHED: Step = Step { score: f64::NEG_INFINITY, token: 0, len: 0 };

impl Unigram {
    /// Scores are one for each token.
    pub fn new(vocab: &Vocab, scores: &[f32], source: &VocabSource<'_>) -> Result<Self, TokenizerError> {
        if scores.len() != vocab.len() {
            let key = "tokenizer.ggml.scores";
            return Err(TokenizerError::Length { key, have: scores.len(), tokens: vocab.len() });
        }
        if let Some(id) = scores.iter().position(|s| s.is_nan()) {
            return Err(TokenizerError::Score { id });
        }
        let unknown = source.unknown.or_else(|| vocab.ids(|k| k == Kind::Unknown).next()).ok_or_else(|| {
            TokenizerError::Missing { key: "tokenizer.ggml.unknown_token_id", model: source.model.into() }
        })?;
        let least = vocab.ids(|k| k == Kind::Normal).map(|id| f64::from(scores[id as usize])).fold(0.0, f64::min);
        // What is user-defined is better than anything else.
        let score = |(id, s): (usize, &f32)| match vocab.kind(id as u32) {
            Some(Kind::UserDefined) => 0.0,
            _ => f64::from(*s),
        };
        let matched = vocab.ids(|k| matches!(k, Kind::Normal | Kind::UserDefined | Kind::Unused));
        Ok(Self {
            trie: Trie::new(matched.map(|id| (vocab.text(id), id)).collect()),
            scores: scores.iter().enumerate().map(score).collect(),
            unknown,
            unknown_score: least - UNKNOWN_PENALTY,
            space_prefix: source.add_space_prefix.unwrap_or(false),
            merge_spaces: source.remove_extra_whitespaces.unwrap_or(false),
            map: source.charsmap.as_deref().filter(|m| !m.is_empty()).map(CharsMap::new).transpose()?,
        })
    }

    /// Appends the tokens of `text`, which begins the whole text or follows a special token.
    pub fn encode(&self, text: &str, out: &mut Vec<u32>) {
        let text = self.normalized(text.as_bytes());
        // `steps[i]` leads to `text[base + i]`. Where no token reaches across, what lies before is settled.
        let (mut base, mut at, mut reach) = (0, 0, 0);
        let mut steps = vec![Step { score: 0.0, ..UNREACHED }];
        let first = out.len();
        while at < text.len() {
            if at > base && (reach <= at || at - base >= MAX_PIECE) {
                self.settle(&steps[..=at - base], first, out);
                let score = steps[at - base].score;
                steps.clear();
                steps.push(Step { score, ..UNREACHED });
                (base, reach) = (at, at);
            }
            let char = char_len(text[at]).min(text.len() - at);
            let from = steps[at - base].score;
            let mut single = false;
            let mut come = |len: usize, token: u32, score: f64| {
                let to = at + len;
                reach = reach.max(to);
                if steps.len() <= to - base {
                    steps.resize(to - base + 1, UNREACHED);
                }
                let step = &mut steps[to - base];
                if from + score > step.score || step.len == 0 {
                    *step = Step { score: from + score, token, len: len as u32 };
                }
            };
            self.trie.prefixes(&text[at..], |len, token| {
                single |= len == char;
                come(len, token, self.scores[token as usize]);
            });
            if !single {
                come(char, self.unknown, self.unknown_score);
            }
            at += char;
        }
        self.settle(&steps, first, out);
    }

    /// Appends the tokens that lead to the last step; those of the text begin at `first` in `out`.
    fn settle(&self, steps: &[Step], first: usize, out: &mut Vec<u32>) {
        let (before, mut at) = (out.len(), steps.len() - 1);
        while let Some(step) = steps.get(at).filter(|s| s.len > 0) {
            out.push(step.token);
            at -= step.len as usize;
        }
        out[before..].reverse();
        // Unknown ones side by side are one.
        let mut end = before;
        for i in before..out.len() {
            let again = out[i] == self.unknown && end > first && out[end - 1] == self.unknown;
            if !again {
                out[end] = out[i];
                end += 1;
            }
        }
        out.truncate(end);
    }

    /// The text after the table of characters, with spaces as the options say, written as `▁`.
    fn normalized(&self, text: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len() + text.len() / 2);
        let (mut at, mut in_word, mut begun) = (0, false, false);
        while at < text.len() {
            let plain = || {
                let n = char_len(text[at]).min(text.len() - at);
                (&text[at..at + n], n)
            };
            let (becomes, taken) = self.map.as_ref().and_then(|m| m.replace(&text[at..])).unwrap_or_else(plain);
            at += taken;
            for &b in becomes {
                if b == b' ' {
                    if !self.merge_spaces {
                        out.extend_from_slice(MARK);
                    }
                } else {
                    if !in_word && (self.merge_spaces || self.space_prefix && !begun) {
                        out.extend_from_slice(MARK);
                        begun = true;
                    }
                    out.push(b);
                }
                in_word = b != b' ';
            }
        }
        out
    }
}

/// Length of the character that begins with this byte.
fn char_len(lead: u8) -> usize {
    match lead {
        0..0xc0 => 1,
        0xc0..0xe0 => 2,
        0xe0..0xf0 => 3,
        _ => 4,
    }
}
