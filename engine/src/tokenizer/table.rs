//! From the bytes of a token to its id: an open-addressing hash table over texts that lie elsewhere.
//!
//! Loading a vocabulary is mostly filling this table, and encoding is mostly asking it, so a slot is 8 bytes (32 bits of
//! the hash, then id + 1) and a miss seldom touches a text. The hash is seeded at random: a file made to collide gains
//! nothing, and since only equality matters, the seed cannot be seen in any result.

use std::hash::{BuildHasher, RandomState};

const K0: u64 = 0xa076_1d64_78bd_642f;
const K1: u64 = 0xe703_7ed1_a0b4_28db;

#[derive(Clone)]
pub(super) struct TokenTable {
    slots: Vec<[u32; 2]>,
    mask: usize,
    seed: u64,
}

fn fold(a: u64, b: u64) -> u64 {
    let p = u128::from(a) * u128::from(b);
    (p >> 64) as u64 ^ p as u64
}

fn word(b: &[u8]) -> u64 {
    b.first_chunk::<8>().map_or(0, |c| u64::from_le_bytes(*c))
}

fn half(b: &[u8]) -> u64 {
    b.first_chunk::<4>().map_or(0, |c| u64::from(u32::from_le_bytes(*c)))
}

fn hash(seed: u64, bytes: &[u8]) -> u64 {
    let n = bytes.len();
    let (mut h, mut rest) = (seed ^ (n as u64).wrapping_mul(K0), bytes);
    while rest.len() > 8 {
        h = fold(h ^ word(rest), K1);
        rest = &rest[8..];
    }
    let last = match rest.len() {
        8 => word(rest),
        4..8 => half(rest) | half(&rest[rest.len() - 4..]) << 32,
        0 => 0,
        k => u64::from(rest[0]) | u64::from(rest[k / 2]) << 8 | u64::from(rest[k - 1]) << 16,
    };
    fold(h ^ last, K0 ^ seed)
}

impl TokenTable {
    /// An empty table for at most `n` entries.
    pub fn new(n: usize) -> Self {
        // At most three quarters full.
        let size = (n + n / 3 + 4).next_power_of_two();
        Self { slots: vec![[0; 2]; size], mask: size - 1, seed: RandomState::new().hash_one(0) }
    }

    /// Adds `bytes` as `id`, unless an equal text is there: then the first one stays, and the answer is false.
    pub fn insert<'a>(&mut self, bytes: &[u8], id: u32, text: impl Fn(u32) -> &'a [u8]) -> bool {
        let h = hash(self.seed, bytes);
        let tag = (h >> 32) as u32;
        let mut at = h as usize & self.mask;
        loop {
            let [t, i] = self.slots[at];
            if i == 0 {
                self.slots[at] = [tag, id + 1];
                return true;
            }
            if t == tag && text(i - 1) == bytes {
                return false;
            }
            at = (at + 1) & self.mask;
        }
    }

    /// The id of `bytes`.
    pub fn find<'a>(&self, bytes: &[u8], text: impl Fn(u32) -> &'a [u8]) -> Option<u32> {
        let h = hash(self.seed, bytes);
        let tag = (h >> 32) as u32;
        let mut at = h as usize & self.mask;
        loop {
            let [t, i] = self.slots[at];
            if i == 0 {
                return None;
            }
            if t == tag && text(i - 1) == bytes {
                return Some(i - 1);
            }
            at = (at + 1) & self.mask;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_found_and_the_first_of_equals_stays() {
        let texts: Vec<Vec<u8>> = (0..200u8).map(|n| (0..n).map(|i| i.wrapping_mul(37) ^ n).collect()).collect();
        let text = |i: u32| texts[i as usize % 200].as_slice();
        let mut t = TokenTable::new(400);
        for i in 0..400 {
            assert_eq!(t.insert(text(i), i, text), i < 200);
        }
        for (i, s) in texts.iter().enumerate() {
            assert_eq!(t.find(s, text), Some(i as u32));
            let mut other = s.clone();
            other.push(0);
            assert_eq!(t.find(&other, text), None);
        }
    }

    #[test]
    fn hash_depends_on_every_byte() {
        for n in 1..40 {
            let a: Vec<u8> = (0..n).collect();
            for i in 0..n as usize {
                let mut b = a.clone();
                b[i] ^= 1;
                assert_ne!(hash(7, &a), hash(7, &b), "length {n}, byte {i}");
            }
        }
    }
}
