//! Q4_K: 256 weights in 8 sub-blocks of 32; 6-bit scales and minima under two half super-scales, nibbles.
//!
//! Byte `32 p + l` of `qs` holds weight `l` of sub-block `2 p` (low nibble) and of `2 p + 1` (high nibble).

use super::{Canon, Head, Lanes, Quant, Section, Stored, field, half_at, halfs, nibbles, words};
use crate::isa::Isa;

/// `d: f16, dmin: f16, scales: [u8; 12], qs: [u8; 128]`; weight = d sc q - dmin mn.
pub struct Q4K;

/// The 6-bit scale and minimum of sub-block `i` from the 12 bytes at `at`: the first four of each in the low six bits
/// of bytes 0..4 and 4..8; the last four as nibbles of bytes 8..12 with their top two bits above the first four.
#[inline(always)]
pub(super) fn six_bits(b: &[u8], at: usize, i: usize) -> (u8, u8) {
    let s = &b[at..at + 12];
    if i < 4 {
        (s[i] & 63, s[i + 4] & 63)
    } else {
        (s[i + 4] & 15 | s[i - 4] >> 6 << 4, s[i + 4] >> 4 | s[i] >> 6 << 4)
    }
}

/// The super-scales at 0 and 32 and the three words of packed scales at 64: scales 0..4 and 4..8, then minima likewise, one
/// a byte.
#[inline(always)]
pub(super) fn scales<S: Isa>(s: S, b: &[u8]) -> Head<S> {
    let [a, m, high] = [words(s, b, 64, 0), words(s, b, 64, 1), words(s, b, 64, 2)];
    let low = s.i_splat(0x3f3f_3f3f);
    let scales = [s.i_and(a, low), s.i_or(nibbles(s, high, false), field(s, a, 2, 0, 0x3030_3030))];
    let minima = [s.i_and(m, low), s.i_or(nibbles(s, high, true), field(s, m, 2, 0, 0x3030_3030))];
    Head { ints: [scales[0], scales[1], minima[0], minima[1]], floats: [halfs(s, b, 0), halfs(s, b, 32)] }
}

/// Scale and offset of sub-block `i` over lanes; both products are exact.
#[inline(always)]
pub(super) fn scale_offset<S: Isa>(s: S, head: &Head<S>, i: usize) -> (S::F, S::F) {
    let [sc, mn] = [head.ints[i / 4], head.ints[2 + i / 4]];
    let shift = 8 * (i as u32 % 4);
    let scale = s.f_mul(head.floats[0], s.i_to_f(field(s, sc, shift, 0, 0xff)));
    let min = s.f_mul(head.floats[1], s.i_to_f(field(s, mn, shift, 0, 0xff)));
    (scale, s.f_mul(min, s.f_splat(-1.0)))
}

impl Quant for Q4K {
    type Form = Stored<4, 0, false, true>;
    const BLOCK: usize = 256;
    const BYTES: usize = 144;
    const PLAN: &'static [Section] =
        &[Section::Half(0), Section::Half(2), Section::Words { at: 4, n: 3 }, Section::Words { at: 16, n: 32 }];
    const WORDS: bool = true;

    #[inline(always)]
    fn decode(b: &[u8], i: usize) -> Canon {
        let (sc, mn) = six_bits(b, 4, i);
        let q = std::array::from_fn(|k| (b[16 + i / 2 * 32 + k] >> (4 * (i % 2)) & 15) as i8);
        Canon { offset: -(half_at(b, 2) * f32::from(mn)), ..Canon::new(q, half_at(b, 0) * f32::from(sc)) }
    }

    #[inline(always)]
    fn word<S: Isa>(s: S, b: &[u8], i: usize, g: usize) -> S::I {
        nibbles(s, words(s, b, 256, i / 2 * 8 + g), i % 2 == 1)
    }

    #[inline(always)]
    fn head<S: Isa>(s: S, b: &[u8]) -> Head<S> {
        scales(s, b)
    }

    #[inline(always)]
    fn sub<S: Isa>(s: S, b: &[u8], i: usize) -> Lanes<S> {
        Self::sub_with(s, &scales(s, b), b, i)
    }

    #[inline(always)]
    fn sub_with<S: Isa>(s: S, head: &Head<S>, b: &[u8], i: usize) -> Lanes<S> {
        let w = eight!(s, g => Self::word(s, b, i, g));
        let (scale, offset) = scale_offset(s, head, i);
        Lanes { offset, ..Lanes::new(s, w, scale) }
    }
}
