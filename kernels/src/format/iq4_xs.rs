//! IQ4_XS: 256 weights in 8 sub-blocks like IQ4_NL's, with 6-bit scales (zero point 32) under one half super-scale.

use super::iq4_nl::{values, values_word};
use super::{Canon, Lanes, Quant, Section, Stored, field, half_at, halfs, shorts, words};
use crate::isa::Isa;

/// `d: f16, scales_h: u16, scales_l: [u8; 4], qs: [u8; 128]`: scale `i` has its low four bits in nibble `i` of
/// `scales_l` and two more at bit `2 i` of `scales_h`; weight = d sc value.
pub struct Iq4Xs;

impl Quant for Iq4Xs {
    type Form = Stored<8, 0, false, false>;
    const BLOCK: usize = 256;
    const BYTES: usize = 136;
    const PLAN: &'static [Section] =
        &[Section::Half(0), Section::Short(2), Section::Words { at: 4, n: 1 }, Section::Words { at: 8, n: 32 }];
    const WORDS: bool = true;

    #[inline(always)]
    fn decode(b: &[u8], i: usize) -> Canon {
        let low = b[4 + i / 2] >> (4 * (i % 2)) & 15;
        let high = b[2 + i / 4] >> (2 * (i % 4)) & 3;
        let scale = f32::from((low | high << 4) as i8 - 32);
        Canon::new(values(b, 8 + 16 * i), half_at(b, 0) * scale)
    }

    #[inline(always)]
    fn word<S: Isa>(s: S, b: &[u8], i: usize, g: usize) -> S::I {
        values_word(s, b, 128, 4 * i, g)
    }

    #[inline(always)]
    fn sub<S: Isa>(s: S, b: &[u8], i: usize) -> Lanes<S> {
        let low = field(s, words(s, b, 64, 0), 4 * i as u32, 0, 15);
        let high = field(s, shorts(s, b, 32), 2 * i as u32, 4, 48);
        let scale = s.i_to_f(s.i_sub(s.i_or(low, high), s.i_splat(32)));
        let w = eight!(s, g => Self::word(s, b, i, g));
        Lanes::new(s, w, s.f_mul(halfs(s, b, 0), scale))
    }
}
