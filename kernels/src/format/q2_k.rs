//! Q2_K: 256 weights of 2 bits; 4-bit scales and minima for every 16 weights under two half super-scales.
//!
//! Sub-block `i` of 32 lies at bit `2 (i % 4)` of `qs[32 (i / 4) ..]`.

use super::{Canon, Lanes, Quant, Section, Small, field, half_at, halfs, words};
use crate::isa::Isa;

/// `scales: [u8; 16], qs: [u8; 64], d: f16, dmin: f16`; weight = d sc q - dmin mn, `sc` in the low nibble of a scale.
pub struct Q2K;

impl Quant for Q2K {
    type Form = Small<2, 0, true>;
    const BLOCK: usize = 256;
    const BYTES: usize = 84;
    const PLAN: &'static [Section] =
        &[Section::Half(80), Section::Half(82), Section::Words { at: 0, n: 4 }, Section::Words { at: 16, n: 16 }];
    const WORDS: bool = true;
    const IN_ORDER: bool = false;

    #[inline(always)]
    fn decode(b: &[u8], i: usize) -> Canon {
        let q = std::array::from_fn(|k| (b[16 + 32 * (i / 4) + k] >> (2 * (i % 4)) & 3) as i8);
        let scales = [b[2 * i], b[2 * i + 1]];
        let (half, offset_half) = (scales.map(|s| f32::from(s & 15)), scales.map(|s| f32::from(s >> 4)));
        Canon { half, offset: -half_at(b, 82), offset_half, ..Canon::new(q, half_at(b, 80)) }
    }

    #[inline(always)]
    fn word<S: Isa>(s: S, b: &[u8], i: usize, g: usize) -> S::I {
        field(s, words(s, b, 320, 8 * (i / 4) + g), 2 * (i as u32 % 4), 0, 0x0303_0303)
    }

    #[inline(always)]
    fn sub<S: Isa>(s: S, b: &[u8], i: usize) -> Lanes<S> {
        let w = eight!(s, g => Self::word(s, b, i, g));
        let (scales, n) = (words(s, b, 64, i / 2), 16 * (i as u32 % 2));
        let half = [s.i_to_f(field(s, scales, n, 0, 15)), s.i_to_f(field(s, scales, n + 8, 0, 15))];
        let offset_half = [s.i_to_f(field(s, scales, n + 4, 0, 15)), s.i_to_f(field(s, scales, n + 12, 0, 15))];
        let offset = s.f_mul(halfs(s, b, 32), s.f_splat(-1.0));
        Lanes { half, offset, offset_half, ..Lanes::new(s, w, halfs(s, b, 0)) }
    }
}
