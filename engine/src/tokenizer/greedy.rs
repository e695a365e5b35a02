//! Vocabularies of RWKV: of the tokens that a text begins with, the longest, and so on behind it.

use super::trie::Trie;
use super::vocab::{Kind, Vocab};

/// The tokens, by their bytes.
#[derive(Clone)]
pub(super) struct Greedy {
    trie: Trie,
    unknown: Option<u32>,
}

impl Greedy {
    /// `unknown` stands for bytes with which no token begins; without one they are left out.
    pub fn new(vocab: &Vocab, unknown: Option<u32>) -> Self {
        let texts = vocab.ids(|kind| kind == Kind::Normal).map(|id| (vocab.bytes(id), id)).collect();
        Self { trie: Trie::new(texts), unknown }
    }

    /// Appends the tokens of `text`.
    pub fn encode(&self, text: &str, out: &mut Vec<u32>) {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            let mut longest = None;
            self.trie.prefixes(rest, |len, id| longest = Some((len, id)));
            match longest {
                Some((len, id)) => {
                    out.push(id);
                    rest = &rest[len..];
                }
                None => {
                    out.extend(self.unknown);
                    rest = &rest[1..];
                }
            }
        }
    }
}
