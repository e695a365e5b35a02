//! WordPiece (`tokenizer.ggml.model` = `bert`): words, in lower case and without accents where the file does not say otherwise,
//! from the longest tokens that they begin with.
//!
//! Files write a token that begins a word with `▁` before it, and others without the `##` of the original vocabularies. The
//! rules are those of BERT's own tokenizer: a word of more than [`MAX_WORD`] characters, or one that tokens do not
//! cover, is the unknown token as a whole.

use super::error::TokenizerError;
use super::source::VocabSource;
use super::split::class::{self, M, P, S, WS};
use super::vocab::Vocab;
use unicode_general_category::{GeneralCategory as G, get_general_category};
use unicode_normalization::UnicodeNormalization;

/// Characters of the longest word that is looked at.
const MAX_WORD: usize = 100;

#[derive(Clone)]
pub(super) struct WordPiece {
    unknown: u32,
    lowercase: bool,
    strip_accents: bool,
}

impl WordPiece {
    pub fn new(vocab: &Vocab, source: &VocabSource<'_>) -> Result<Self, TokenizerError> {
        let by_text = || vocab.ids(|_| true).find(|id| vocab.text(*id) == b"[UNK]");
        let unknown = source.unknown.or_else(by_text).ok_or_else(|| TokenizerError::Missing {
            key: "tokenizer.ggml.unknown_token_id",
            model: source.model.into(),
        })?;
        let lowercase = source.lowercase.unwrap_or(true);
        Ok(Self { unknown, lowercase, strip_accents: source.strip_accents.unwrap_or(lowercase) })
    }

    /// Appends the tokens of `text`.
    pub fn encode(&self, vocab: &Vocab, text: &str, out: &mut Vec<u32>) {
        // A space, which stands for the mark, and the letters of a word.
        let mut word = String::from(" ");
        let mut chars = 0;
        let mut end = |word: &mut String, chars: &mut usize| {
            if *chars > 0 {
                self.word(vocab, word, *chars, out);
            }
            word.truncate(1);
            *chars = 0;
        };
        let kept = text.chars().filter(|c| !dropped(*c));
        let text: String = match self.strip_accents {
            true => kept.nfd().filter(|c| !is_accent(*c)).collect(),
            false => kept.collect(),
        };
        for c in text.chars() {
            if is_space(c) {
                end(&mut word, &mut chars);
                continue;
            }
            let alone = is_alone(c);
            if alone {
                end(&mut word, &mut chars);
            }
            let mut push = |c| {
                chars += 1;
                // Longer words are not looked at.
                if chars <= MAX_WORD {
                    word.push(c);
                }
            };
            match self.lowercase {
                true => c.to_lowercase().for_each(push),
                false => push(c),
            }
            if alone {
                end(&mut word, &mut chars);
            }
        }
        end(&mut word, &mut chars);
    }

    /// The tokens of one word with its mark, longest first.
    fn word(&self, vocab: &Vocab, word: &str, chars: usize, out: &mut Vec<u32>) {
        let before = out.len();
        let mut rest = if chars <= MAX_WORD { word } else { "" };
        while !rest.is_empty() {
            let longest = rest.len().min(vocab.max_bytes());
            let ends = (1..=longest).rev().filter(|n| rest.is_char_boundary(*n));
            let Some((n, id)) = ends.map(|n| (n, vocab.find(&rest.as_bytes()[..n]))).find_map(|(n, id)| Some((n, id?)))
            else {
                out.truncate(before);
                break;
            };
            out.push(id);
            rest = &rest[n..];
        }
        if out.len() == before {
            out.push(self.unknown);
        }
    }
}

/// Control characters but for white space, and the mark of damaged text.
fn dropped(c: char) -> bool {
    let other = matches!(get_general_category(c), G::Control | G::Format | G::PrivateUse | G::Surrogate);
    c == '\u{fffd}' || other && !matches!(c, '\t' | '\n' | '\r')
}

fn is_space(c: char) -> bool {
    class::is(c, WS)
}

/// A mark on the letter before it.
fn is_accent(c: char) -> bool {
    class::is(c, M) && get_general_category(c) == G::NonspacingMark
}

/// Whether it is a word by itself: punctuation, symbols of ASCII, and ideographs.
fn is_alone(c: char) -> bool {
    const IDEOGRAPHS: [(u32, u32); 8] = [
        (0x4e00, 0x9fff),
        (0x3400, 0x4dbf),
        (0x20000, 0x2a6df),
        (0x2a700, 0x2b73f),
        (0x2b740, 0x2b81f),
        (0x2b820, 0x2ceaf),
        (0xf900, 0xfaff),
        (0x2f800, 0x2fa1f),
    ];
    let ideograph = || IDEOGRAPHS.iter().any(|(a, b)| (*a..=*b).contains(&u32::from(c)));
    class::is(c, P) || c.is_ascii() && class::is(c, S) || ideograph()
}
