//! Q6_K: 256 weights of 6 bits, zero point 32; signed 8-bit scales for every 16 weights under one half super-scale.
//!
//! Of each half `h` (128 weights), sub-block `r` of 32 has its low four bits in nibble `r / 2` of
//! `ql[64 h + 32 (r % 2) ..]` and its high two bits at bit `2 r` of `qh[32 h ..]`.

use super::{Canon, Lanes, Quant, Section, Stored, field, half_at, halfs, nibbles, words};
use crate::isa::Isa;

/// `ql: [u8; 128], qh: [u8; 64], scales: [i8; 16], d: f16`.
pub struct Q6K;

impl Quant for Q6K {
    type Form = Stored<6, 32, true, false>;
    const BLOCK: usize = 256;
    const BYTES: usize = 210;
    const PLAN: &'static [Section] = &[
        Section::Half(208),
        Section::Words { at: 192, n: 4 },
        Section::Words { at: 128, n: 16 },
        Section::Words { at: 0, n: 32 },
    ];
    const WORDS: bool = true;
    const IN_ORDER: bool = false;

    #[inline(always)]
    fn decode(b: &[u8], i: usize) -> Canon {
        let (h, r) = (i / 4, i % 4);
        let q = std::array::from_fn(|k| {
            let low = b[64 * h + 32 * (r % 2) + k] >> (4 * (r / 2)) & 15;
            let high = b[128 + 32 * h + k] >> (2 * r) & 3;
            (low | high << 4) as i8 - 32
        });
        let half = [0, 1].map(|k| f32::from(b[192 + 2 * i + k] as i8));
        Canon { half, ..Canon::new(q, half_at(b, 208)) }
    }

    #[inline(always)]
    fn word<S: Isa>(s: S, b: &[u8], i: usize, g: usize) -> S::I {
        let (h, r) = (i / 4, i % 4);
        let low = nibbles(s, words(s, b, 1312, 16 * h + 8 * (r % 2) + g), r >= 2);
        s.i_or(low, field(s, words(s, b, 288, 8 * h + g), 2 * r as u32, 4, 0x3030_3030))
    }

    #[inline(always)]
    fn sub<S: Isa>(s: S, b: &[u8], i: usize) -> Lanes<S> {
        let w = eight!(s, g => Self::word(s, b, i, g));
        // Two signed scales a sub-block, four in a word.
        let scales = words(s, b, 32, i / 2);
        let n = 16 * (i as u32 % 2);
        let half = [s.i_sar(s.i_shl(scales, 24 - n), 24), s.i_sar(s.i_shl(scales, 16 - n), 24)];
        let half = [s.i_to_f(half[0]), s.i_to_f(half[1])];
        Lanes { half, ..Lanes::new(s, w, halfs(s, b, 0)) }
    }
}
