//! PLaMo 2 and 3 (`tokenizer.ggml.model` = `plamo2`): of all ways to cut the text into tokens, the one that costs least, found
//! from its end. A token costs what its score says in ten thousandths, a character that none begins with as much as any
//! thousand of them, and becomes the tokens of its bytes. Of ways that cost the same, the longer token comes first.
//!
//! Spaces are characters as others; only a byte order mark in front is left out.

use super::agglomerate::MAX_PIECE;
use super::error::TokenizerError;
use super::trie::Trie;
use super::vocab::{Kind, Vocab};

/// What a character costs that is spelt in bytes.
const UNKNOWN: i64 = 10_000_000;

/// Scores from here down are none: such a token is only ever decoded.
const LEAST: f64 = -20_000_000.0;

#[derive(Clone)]
pub(super) struct Cheapest {
    trie: Trie,
    /// What each token costs.
    costs: Vec<i64>,
}

/// A token that begins at a place; none for a character in bytes.
#[derive(Clone, Copy)]
struct Way {
    at: usize,
    len: usize,
    token: Option<u32>,
}

impl Cheapest {
    /// Scores are one for each token; every byte must have one.
    pub fn new(vocab: &Vocab, scores: &[f32]) -> Result<Self, TokenizerError> {
        if scores.len() != vocab.len() {
            let key = "tokenizer.ggml.scores";
            return Err(TokenizerError::Length { key, have: scores.len(), tokens: vocab.len() });
        }
        if let Some(byte) = (0..=u8::MAX).find(|b| vocab.byte_id(*b).is_none()) {
            return Err(TokenizerError::NoByteToken { byte });
        }
        let tenthousandths = |id: u32| (f64::from(scores[id as usize]) * 1e4).round();
        // Control tokens must not be made from a user's text. Characters are whole.
        let matched = vocab.ids(|k| k == Kind::Normal).filter(|id| {
            let score = tenthousandths(*id);
            score.is_finite() && score > LEAST && std::str::from_utf8(vocab.text(*id)).is_ok()
        });
        Ok(Self {
            trie: Trie::new(matched.map(|id| (vocab.text(id), id)).collect()),
            costs: (0..vocab.len() as u32).map(|id| (tenthousandths(id) as i64).saturating_neg()).collect(),
        })
    }

    /// Appends the tokens of `text`.
    pub fn encode(&self, vocab: &Vocab, text: &str, out: &mut Vec<u32>) {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).as_bytes();
        // Where no token reaches across, what lies before is settled.
        let (mut base, mut at, mut reach) = (0, 0, 0);
        let mut ways = Vec::new();
        while at < text.len() {
            if at > base && (reach <= at || at - base >= MAX_PIECE) {
                self.settle(vocab, &text[base..at], &ways, out);
                ways.clear();
                base = at;
            }
            let char = (1..text.len() - at).find(|n| text[at + n] & 0xc0 != 0x80).unwrap_or(text.len() - at);
            ways.push(Way { at: at - base, len: char, token: None });
            reach = reach.max(at + char);
            self.trie.prefixes(&text[at..], |len, token| {
                ways.push(Way { at: at - base, len, token: Some(token) });
                reach = reach.max(at + len);
            });
            at += char;
        }
        self.settle(vocab, &text[base..], &ways, out);
    }

    /// Appends the tokens of a piece, of which `ways` has all that begin at each place, the shortest first.
    fn settle(&self, vocab: &Vocab, piece: &[u8], ways: &[Way], out: &mut Vec<u32>) {
        // What it costs from a place on, and the first token there.
        let mut best: Vec<(i64, Option<Way>)> = vec![(i64::MAX, None); piece.len() + 1];
        best[piece.len()].0 = 0;
        for way in ways.iter().rev() {
            // A piece that was cut short has no place behind its end.
            let Some(&(rest, _)) = best.get(way.at + way.len) else { continue };
            let cost = rest.saturating_add(way.token.map_or(UNKNOWN, |t| self.costs[t as usize]));
            if cost < best[way.at].0 {
                best[way.at] = (cost, Some(*way));
            }
        }
        let mut at = 0;
        while let Some((_, Some(way))) = best.get(at) {
            match way.token {
                Some(token) => out.push(token),
                // There is one for each: it was checked.
                None => out.extend(piece[at..at + way.len].iter().filter_map(|b| vocab.byte_id(*b))),
            }
            at += way.len;
        }
    }
}
