//! Q5_0: Q4_0 with a fifth bit per weight in a 32-bit field; zero point 16.

use super::{Canon, Lanes, Quant, Section, Stored, field, half_at, halfs, nibbles, words};
use crate::isa::Isa;

/// `d: f16, qh: u32, qs: [u8; 16]`.
pub struct Q5_0;

/// Weight `k` as stored (0..32) of a block whose bit field is at `qh` and nibbles at `qs`.
#[inline(always)]
pub(super) fn five_bits(b: &[u8], qh: usize, qs: usize, k: usize) -> i8 {
    let byte = b[qs + k % 16];
    let low = if k < 16 { byte & 15 } else { byte >> 4 };
    (low | (b[qh + k / 8] >> (k % 8) & 1) << 4) as i8
}

/// Word `g` of the same over lanes, from the packed sections at `qh` and `qs`.
#[inline(always)]
pub(super) fn five_bits_word<S: Isa>(s: S, b: &[u8], qh: usize, qs: usize, g: usize) -> S::I {
    let low = nibbles(s, words(s, b, qs, g % 4), g >= 4);
    s.i_or(low, field(s, words(s, b, qh, 0), g as u32, 4, 0x1010_1010))
}

impl Quant for Q5_0 {
    type Form = Stored<5, 16, false, false>;
    const BLOCK: usize = 32;
    const BYTES: usize = 22;
    const PLAN: &'static [Section] = &[Section::Half(0), Section::Bits(2), Section::Words { at: 6, n: 4 }];
    const WORDS: bool = true;

    #[inline(always)]
    fn decode(b: &[u8], _: usize) -> Canon {
        let q = std::array::from_fn(|k| five_bits(b, 2, 6, k) - 16);
        Canon::new(q, half_at(b, 0))
    }

    #[inline(always)]
    fn word<S: Isa>(s: S, b: &[u8], _: usize, g: usize) -> S::I {
        five_bits_word(s, b, 32, 96, g)
    }

    #[inline(always)]
    fn sub<S: Isa>(s: S, b: &[u8], i: usize) -> Lanes<S> {
        let w = eight!(s, g => Self::word(s, b, i, g));
        Lanes::new(s, w, halfs(s, b, 0))
    }
}
