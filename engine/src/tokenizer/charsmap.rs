//! The table by which SentencePiece normalises characters (`tokenizer.ggml.precompiled_charsmap`): what some strings become
//! before anything else (`ﬁ` to `fi`, wide letters to plain ones, control characters to nothing).
//!
//! The layout is SentencePiece's: the size of a double-array trie in bytes as u32, the trie (u32 each), then the
//! replacements, each ended by a zero byte. A unit of the trie holds, as in Darts:
//!
//! ```text
//! bit 31      it is a value: the other bits are the offset of a replacement
//! bits 10-30  the offset of its children (8 bits further left if bit 9 is set)
//! bit 8       it has a value, which is its child of byte 0
//! bits 0-7    the byte that leads to it
//! ```

use super::error::TokenizerError;

#[derive(Clone)]
pub(super) struct CharsMap {
    units: Vec<u32>,
    replacements: Vec<u8>,
}

/// Where the children of a unit are, relative to it.
fn offset(unit: u32) -> usize {
    ((unit >> 10) << ((unit & 1 << 9) >> 6)) as usize
}

fn has_value(unit: u32) -> bool {
    unit >> 8 & 1 == 1
}

/// The byte that leads to a unit; no byte for a value.
fn label(unit: u32) -> u32 {
    unit & (1 << 31 | 0xff)
}

impl CharsMap {
    /// Reads a table and checks that each value is a replacement.
    pub fn new(blob: &[u8]) -> Result<Self, TokenizerError> {
        let wrong = |what: &'static str| TokenizerError::CharsMap { what };
        let (head, rest) = blob.split_first_chunk::<4>().ok_or(wrong("it is shorter than its header"))?;
        let size = u32::from_le_bytes(*head) as usize;
        if !size.is_multiple_of(4) || size > rest.len() {
            return Err(wrong("its trie does not fit into it"));
        }
        let (trie, replacements) = rest.split_at(size);
        let units: Vec<u32> = trie.as_chunks::<4>().0.iter().map(|b| u32::from_le_bytes(*b)).collect();
        if replacements.last().is_some_and(|b| *b != 0) {
            return Err(wrong("its last replacement has no end"));
        }
        for (i, unit) in units.iter().enumerate().filter(|(_, u)| *u >> 31 == 0 && has_value(**u)) {
            let value = units.get(i ^ offset(*unit)).map(|v| (v & !(1 << 31)) as usize);
            if value.is_none_or(|v| v >= replacements.len()) {
                return Err(wrong("a value of its trie is not a replacement"));
            }
        }
        Ok(Self { units, replacements: replacements.to_vec() })
    }

    /// What the longest known string at the beginning of `text` becomes, and its length.
    pub fn replace(&self, text: &[u8]) -> Option<(&[u8], usize)> {
        let mut at = offset(*self.units.first()?);
        let mut found = None;
        for (i, byte) in text.iter().enumerate().take_while(|(_, b)| **b != 0) {
            at ^= usize::from(*byte);
            let Some(unit) = self.units.get(at).filter(|u| label(**u) == u32::from(*byte)) else { break };
            at ^= offset(*unit);
            if has_value(*unit) {
                let value = self.units.get(at)? & !(1 << 31);
                found = Some((value as usize, i + 1));
            }
        }
        let (value, taken) = found?;
        let rest = self.replacements.get(value..)?;
        Some((rest.split(|b| *b == 0).next()?, taken))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table by hand: `a` becomes `xy`, `ab` nothing. Children of the root lie at 256 ^ byte, those of `a` at 512 ^ byte,
    /// the value of `ab` at 768.
    fn table() -> Vec<u8> {
        let mut units = vec![0u32; 1024];
        let node = |at: usize, children: usize, value: bool, byte: u8| {
            ((at ^ children) as u32) << 10 | u32::from(value) << 8 | u32::from(byte)
        };
        units[0] = node(0, 256, false, 0);
        let (a, b) = (256 ^ usize::from(b'a'), 512 ^ usize::from(b'b'));
        units[a] = node(a, 512, true, b'a');
        units[512] = 1 << 31;
        units[b] = node(b, 768, true, b'b');
        units[768] = 1 << 31 | 2;
        let mut blob = (units.len() as u32 * 4).to_le_bytes().to_vec();
        blob.extend(units.iter().flat_map(|u| u.to_le_bytes()));
        blob.extend(b"xy\0");
        blob
    }

    #[test]
    fn the_longest_string_is_replaced() {
        let map = CharsMap::new(&table()).unwrap();
        assert_eq!(map.replace(b"ac"), Some((&b"xy"[..], 1)));
        assert_eq!(map.replace(b"abc"), Some((&b""[..], 2)));
        assert_eq!(map.replace(b"ba"), None);
        assert_eq!(map.replace(b""), None);
        assert_eq!(map.replace(b"\0"), None);
    }

    #[test]
    fn damage_is_an_error() {
        let good = table();
        for (at, with) in [(0, 5), (3, 255), (4 + 4 * 512, 7), (good.len() - 1, b'z')] {
            let mut bad = good.clone();
            bad[at] = with;
            assert!(CharsMap::new(&bad).is_err(), "{at}");
        }
        assert!(CharsMap::new(&good[..3]).is_err());
        assert!(CharsMap::new(&[0; 4]).unwrap().replace(b"a").is_none());
    }
}
