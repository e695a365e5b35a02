//! Q5_0: Q4_0 with a fifth bit per weight in a 32-bit field; zero point 16.

use super::{Canon, Lanes, Quant, Section, Stored, half_at, halfs, nibbles, words};
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

/// The same over lanes, from the packed sections at `qh` and `qs`.
#[inline(always)]
pub(super) fn five_bits_lanes<S: Isa>(s: S, b: &[u8], qh: usize, qs: usize) -> [S::I; 8] {
    let high = words(s, b, qh, 0);
    eight!(s, g => {
        let low = nibbles(s, words(s, b, qs, g % 4), g >= 4);
        let bit = s.i_and(s.i_shr(high, g as u32), s.i_splat(0x0101_0101));
        s.i_or(low, s.i_shl(bit, 4))
    })
}

impl Quant for Q5_0 {
    type Form = Stored<5, 16, false, false>;
    const BLOCK: usize = 32;
    const BYTES: usize = 22;
    const PLAN: &'static [Section] = &[Section::Half(0), Section::Bits(2), Section::Words { at: 6, n: 4 }];

    #[inline(always)]
    fn decode(b: &[u8], _: usize) -> Canon {
        let q = std::array::from_fn(|k| five_bits(b, 2, 6, k) - 16);
        Canon::new(q, half_at(b, 0))
    }

    #[inline(always)]
    fn sub<S: Isa>(s: S, b: &[u8], _: usize) -> Lanes<S> {
        let w = five_bits_lanes(s, b, 32, 96);
        Lanes::new(s, w, halfs(s, b, 0))
    }
}
