//! Which neighbours may merge, and in which order.
//!
//! A pair is known by the token that it makes and by where the token is cut: texts are unique, so the two say the pair.
//! So no table of pairs is needed, and no left or right id. In most files merge i makes token base + i, each token has
//! one cut, and the rank of a merge follows from the id; Llama 3 and Gemma 4 list every cut of a token, and then the
//! cuts of a token stand together.

use super::error::TokenizerError;
use super::source::Strings;
use super::vocab::{Kind, Vocab, lossy};
use std::collections::HashSet;

const KEY: &str = "tokenizer.ggml.merges";

#[derive(Clone, Debug)]
pub(super) enum Merges {
    /// Merge i makes token `base + i`, cut after `cuts[i]` bytes.
    InOrder { base: u32, cuts: Vec<u16> },
    /// `cuts[starts[id]..starts[id + 1]]`: the cuts of token `id` and their ranks.
    Listed { starts: Vec<u32>, cuts: Vec<(u16, u32)> },
}

/// What a merge spells, on the way from the file.
struct Spelt {
    id: u32,
    cut: u16,
}

/// `None` for the id of a merge that can never happen.
const NEVER: u32 = u32::MAX;

impl Merges {
    /// The merges of a vocabulary, spelt as its tokens are.
    pub fn new(vocab: &Vocab, merges: &Strings<'_>) -> Result<Self, TokenizerError> {
        let max = i32::MAX as usize;
        if merges.len() > max {
            return Err(TokenizerError::TooLarge { key: KEY, what: "their number".into(), have: merges.len(), max });
        }
        let mut list = Vec::with_capacity(merges.len());
        let mut scratch = Vec::new();
        // Merges come in the order of the tokens they make, so the token is mostly this one or the next, and comparing
        // texts finds it without a look into the table.
        let mut guess = 0;
        let mut specials = None;
        for (index, merge) in merges.iter().enumerate() {
            // The alphabet has no space, but a text that stands for itself may begin with one.
            let gap = merge.iter().skip(1).position(|b| *b == b' ').map(|i| i + 1);
            let Some((left, right)) = gap.map(|i| (&merge[..i], &merge[i + 1..])).filter(|(_, r)| !r.is_empty()) else {
                return Err(TokenizerError::MergeForm { index, merge: lossy(merge) });
            };
            let near = near(vocab, guess + 1, left, right).or_else(|| near(vocab, guess, left, right));
            let found = near.or_else(|| {
                scratch.clear();
                vocab.spelling.spell(left, &mut scratch);
                let cut = scratch.len();
                vocab.spelling.spell(right, &mut scratch);
                vocab.find(&scratch).map(|id| (id, cut))
            });
            let (id, cut) = match found {
                Some(found) => {
                    guess = found.0;
                    found
                }
                // Such a token is matched as a whole or must not be made from text: the merge never happens.
                None if specials.get_or_insert_with(|| special_texts(vocab)).contains(&[left, right].concat()[..]) => {
                    (NEVER, 0)
                }
                None => return Err(TokenizerError::MergeToken { index, merge: lossy(merge) }),
            };
            // A token's length fits 16 bits.
            list.push(Spelt { id, cut: cut as u16 });
        }
        let base = list.first().map_or(0, |m| m.id);
        if list.iter().enumerate().all(|(i, m)| m.id as usize == base as usize + i) {
            return Ok(Self::InOrder { base, cuts: list.into_iter().map(|m| m.cut).collect() });
        }
        let mut starts = vec![0u32; vocab.len() + 1];
        for m in list.iter().filter(|m| m.id != NEVER) {
            starts[m.id as usize + 1] += 1;
        }
        for i in 1..starts.len() {
            starts[i] += starts[i - 1];
        }
        let mut next = starts.clone();
        let mut cuts = vec![(0, 0); starts[vocab.len()] as usize];
        for (rank, m) in list.iter().enumerate().filter(|(_, m)| m.id != NEVER) {
            let at = &mut next[m.id as usize];
            cuts[*at as usize] = (m.cut, rank as u32);
            *at += 1;
        }
        Ok(Self::Listed { starts, cuts })
    }

    /// Rank of the merge that makes token `id` from its first `cut` bytes and the rest, lower first.
    pub fn rank(&self, id: u32, cut: usize) -> Option<u32> {
        match self {
            Self::InOrder { base, cuts } => {
                let rank = id.checked_sub(*base)?;
                (usize::from(*cuts.get(rank as usize)?) == cut).then_some(rank)
            }
            Self::Listed { starts, cuts } => {
                let i = id as usize;
                let (from, to) = (*starts.get(i)?, *starts.get(i + 1)?);
                let of_token = &cuts[from as usize..to as usize];
                of_token.iter().find(|c| usize::from(c.0) == cut).map(|c| c.1)
            }
        }
    }
}

/// `id` and the cut, if that token is `left` and `right` together.
fn near(vocab: &Vocab, id: u32, left: &[u8], right: &[u8]) -> Option<(u32, usize)> {
    let text = vocab.text(id);
    if text.len() != left.len() + right.len() || !text.starts_with(left) || !text.ends_with(right) || vocab.repeats() {
        return None;
    }
    let cut = vocab.spelling.spelt_len(left);
    // Text outside of the alphabet stands for itself, which the lengths tell.
    (vocab.bytes(id).len() == cut + vocab.spelling.spelt_len(right)).then_some((id, cut))
}

fn special_texts(vocab: &Vocab) -> HashSet<&[u8]> {
    vocab.ids(|k| k != Kind::Normal).map(|id| vocab.text(id)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::vocab::Spelling;
    use super::*;

    fn vocab(tokens: &[&str]) -> Vocab {
        let t: Vec<&[u8]> = tokens.iter().map(|t| t.as_bytes()).collect();
        Vocab::new(&t.into(), None, Spelling::ByteLevel).unwrap()
    }

    fn merges(v: &Vocab, m: &[&str]) -> Result<Merges, TokenizerError> {
        let m: Vec<&[u8]> = m.iter().map(|m| m.as_bytes()).collect();
        Merges::new(v, &m.into())
    }

    #[test]
    fn in_order() {
        let v = vocab(&["a", "b", "Ġ", "ab", "Ġab", "aab"]);
        let m = merges(&v, &["a b", "Ġ ab", "a ab"]).unwrap();
        assert!(matches!(m, Merges::InOrder { base: 3, .. }));
        assert_eq!(m.rank(3, 1), Some(0));
        assert_eq!(m.rank(4, 1), Some(1));
        // The text is right, the cut is not: `Ġa b` is no merge of this file.
        assert_eq!(m.rank(4, 2), None);
        assert_eq!(m.rank(2, 1), None);
        assert_eq!(m.rank(99, 1), None);
    }

    #[test]
    fn several_cuts_of_a_token() {
        let v = vocab(&["a", "b", "aab", "ab", "aa"]);
        let m = merges(&v, &["a b", "a a", "a ab", "aa b"]).unwrap();
        assert!(matches!(m, Merges::Listed { .. }));
        assert_eq!((m.rank(3, 1), m.rank(4, 1)), (Some(0), Some(1)));
        assert_eq!((m.rank(2, 1), m.rank(2, 2), m.rank(2, 3)), (Some(2), Some(3), None));
    }

    #[test]
    fn malformed() {
        let v = vocab(&["a", "b"]);
        assert!(matches!(merges(&v, &["ab"]), Err(TokenizerError::MergeForm { index: 0, .. })));
        assert!(matches!(merges(&v, &["a "]), Err(TokenizerError::MergeForm { .. })));
        assert!(matches!(merges(&v, &[""]), Err(TokenizerError::MergeForm { .. })));
        assert!(matches!(merges(&v, &["a b"]), Err(TokenizerError::MergeToken { index: 0, .. })));
        let t: Vec<&[u8]> = vec![b"a", b"b", b"ab"];
        let v =
            Vocab::new(&t.into(), Some(vec![Kind::Normal, Kind::Normal, Kind::Control]), Spelling::ByteLevel).unwrap();
        assert_eq!(merges(&v, &["a b"]).unwrap().rank(2, 1), None);
    }
}
