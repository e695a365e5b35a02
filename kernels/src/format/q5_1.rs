//! Q5_1: Q4_1 with a fifth bit per weight in a 32-bit field.

use super::q5_0::{five_bits, five_bits_word};
use super::{Canon, Lanes, Quant, Section, Stored, half_at, halfs};
use crate::isa::Isa;

/// `d: f16, m: f16, qh: u32, qs: [u8; 16]`; weight = d q + m.
pub struct Q5_1;

impl Quant for Q5_1 {
    type Form = Stored<5, 0, false, true>;
    const BLOCK: usize = 32;
    const BYTES: usize = 24;
    const PLAN: &'static [Section] =
        &[Section::Half(0), Section::Half(2), Section::Bits(4), Section::Words { at: 8, n: 4 }];
    const WORDS: bool = true;

    #[inline(always)]
    fn decode(b: &[u8], _: usize) -> Canon {
        let q = std::array::from_fn(|k| five_bits(b, 4, 8, k));
        Canon { offset: half_at(b, 2), ..Canon::new(q, half_at(b, 0)) }
    }

    #[inline(always)]
    fn word<S: Isa>(s: S, b: &[u8], _: usize, g: usize) -> S::I {
        five_bits_word(s, b, 64, 128, g)
    }

    #[inline(always)]
    fn sub<S: Isa>(s: S, b: &[u8], i: usize) -> Lanes<S> {
        let w = eight!(s, g => Self::word(s, b, i, g));
        Lanes { offset: halfs(s, b, 32), ..Lanes::new(s, w, halfs(s, b, 0)) }
    }
}
