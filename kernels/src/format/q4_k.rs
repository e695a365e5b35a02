//! Q4_K: 256 weights in 8 sub-blocks of 32; 6-bit scales and minima under two half super-scales, nibbles.
//!
//! Byte `32 p + l` of `qs` holds weight `l` of sub-block `2 p` (low nibble) and of `2 p + 1` (high nibble).

use super::{Canon, Lanes, Quant, Section, Stored, half_at, halfs, nibbles, words};
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

/// Bits of every lane: `v >> n & mask`.
#[inline(always)]
fn field<S: Isa>(s: S, v: S::I, n: u32, mask: i32) -> S::I {
    s.i_and(s.i_shr(v, n), s.i_splat(mask))
}

/// The same over lanes (three words of packed scales at `at`), as i32.
#[inline(always)]
pub(super) fn six_bits_lanes<S: Isa>(s: S, b: &[u8], at: usize, i: usize) -> (S::I, S::I) {
    let [a, m, high] = [words(s, b, at, 0), words(s, b, at, 1), words(s, b, at, 2)];
    let shift = 8 * (i as u32 % 4);
    if i < 4 {
        (field(s, a, shift, 63), field(s, m, shift, 63))
    } else {
        let sc = s.i_or(field(s, high, shift, 15), s.i_shl(field(s, a, shift + 6, 3), 4));
        let mn = s.i_or(field(s, high, shift + 4, 15), s.i_shl(field(s, m, shift + 6, 3), 4));
        (sc, mn)
    }
}

/// Scale and offset over lanes, with the super-scales at 0 and 32 and the 6-bit ones at 64; both products are exact.
#[inline(always)]
pub(super) fn scale_offset<S: Isa>(s: S, b: &[u8], i: usize) -> (S::F, S::F) {
    let (sc, mn) = six_bits_lanes(s, b, 64, i);
    let scale = s.f_mul(halfs(s, b, 0), s.i_to_f(sc));
    let min = s.f_mul(halfs(s, b, 32), s.i_to_f(mn));
    (scale, s.f_mul(min, s.f_splat(-1.0)))
}

impl Quant for Q4K {
    type Form = Stored<4, 0, false, true>;
    const BLOCK: usize = 256;
    const BYTES: usize = 144;
    const PLAN: &'static [Section] =
        &[Section::Half(0), Section::Half(2), Section::Words { at: 4, n: 3 }, Section::Words { at: 16, n: 32 }];

    #[inline(always)]
    fn decode(b: &[u8], i: usize) -> Canon {
        let (sc, mn) = six_bits(b, 4, i);
        let q = std::array::from_fn(|k| (b[16 + i / 2 * 32 + k] >> (4 * (i % 2)) & 15) as i8);
        Canon { offset: -(half_at(b, 2) * f32::from(mn)), ..Canon::new(q, half_at(b, 0) * f32::from(sc)) }
    }

    #[inline(always)]
    fn sub<S: Isa>(s: S, b: &[u8], i: usize) -> Lanes<S> {
        let w = eight!(s, g => nibbles(s, words(s, b, 256, i / 2 * 8 + g), i % 2 == 1));
        let (scale, offset) = scale_offset(s, b, i);
        Lanes { offset, ..Lanes::new(s, w, scale) }
    }
}
