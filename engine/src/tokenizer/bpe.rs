//! Byte-level byte-pair encoding (`tokenizer.ggml.model` = `gpt2`).

use super::agglomerate::{Agglomerator, NONE, bounded};
use super::error::TokenizerError;
use super::merges::Merges;
use super::source::Strings;
use super::split::PreTokenizer;
use super::vocab::Vocab;
use super::whole::Whole;

#[derive(Clone)]
pub(super) struct Bpe {
    pub pre: &'static PreTokenizer,
    merges: Merges,
    /// Tokens of the single bytes, [`NONE`] for bytes that the vocabulary lacks.
    bytes: Box<[u32; 256]>,
    whole: Whole,
}

impl Bpe {
    pub fn new(vocab: &Vocab, pre: &'static PreTokenizer, merges: &Strings<'_>) -> Result<Self, TokenizerError> {
        let merges = Merges::new(vocab, merges)?;
        let mut bytes = Box::new([NONE; 256]);
        for (b, id) in bytes.iter_mut().enumerate() {
            *id = vocab.find(&[b as u8]).unwrap_or(NONE);
        }
        Ok(Self { pre, merges, bytes, whole: Whole::new(vocab.len()) })
    }

    /// Appends the tokens of `text`.
    pub fn encode(&self, vocab: &Vocab, text: &str, work: &mut Agglomerator, out: &mut Vec<u32>) {
        self.pre.split(text, &mut |piece| {
            let token = vocab.find(piece.as_bytes());
            if let Some(id) = token.filter(|id| self.pre.whole_pieces || self.whole.known(*id)) {
                return out.push(id);
            }
            let before = out.len();
            for part in bounded(piece) {
                let b = part.as_bytes();
                let pair = |start: usize, cut: usize, end: usize| {
                    let id = vocab.find(&b[start..end])?;
                    Some((self.merges.rank(id, cut - start)?, id))
                };
                work.run(b.iter().map(|b| (1, self.bytes[*b as usize])), pair, |_, _, id| {
                    if id != NONE {
                        out.push(id);
                    }
                });
            }
            if let Some(id) = token {
                self.whole.learn(id, &out[before..]);
            }
        });
    }
}
