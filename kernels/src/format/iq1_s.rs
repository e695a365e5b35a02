//! IQ1_S: 256 weights in eights out of a codebook of 2048 ternary ones, all of 32 shifted by an eighth up or down;
//! 3-bit scales for every 32 under one half super-scale.
//!
//! Eight times a weight is an integer: `8 q + 1` or `8 q - 1`, stored with 9 added.

use super::codebook::{byte, pairs, ternary, ternary_up};
use super::{Canon, Lanes, Quant, Section, Stored, field, grid, half_at, halfs, words};
use crate::isa::Isa;

/// `d: f16, qs: [u8; 32], qh: [u16; 8]`: entry `l` of sub-block `i` is `qs[4 i + l]` and above it bits `3 l ..` of
/// `qh[i]`, whose bits 12..15 are the scale and bit 15 says down; weight = d (2 sc + 1) (q ± 1/8).
pub struct Iq1S;

impl Quant for Iq1S {
    type Form = Stored<5, 9, false, false>;
    const BLOCK: usize = 256;
    const BYTES: usize = 50;
    const PLAN: &'static [Section] =
        &[Section::Half(0), Section::Words { at: 2, n: 8 }, Section::Words { at: 34, n: 4 }];
    const MIXED: bool = true;
    const QUICK: bool = false;

    #[inline(always)]
    fn decode(b: &[u8], i: usize) -> Canon {
        let high = u16::from_le_bytes([b[34 + 2 * i], b[35 + 2 * i]]);
        let shift = if high >> 15 == 1 { -1 } else { 1 };
        let q = std::array::from_fn(|k| {
            let l = k / 8;
            let entry = usize::from(b[2 + 4 * i + l]) | usize::from(high >> (3 * l) & 7) << 8;
            grid::ternary(grid::IQ1[entry], k % 8) + shift
        });
        Canon::new(q, half_at(b, 0) * 0.125 * f32::from(2 * (high >> 12 & 7) + 1))
    }

    #[inline(always)]
    fn sub<S: Isa>(s: S, b: &[u8], i: usize) -> Lanes<S> {
        let (high, at) = (words(s, b, 544, i / 2), 16 * (i as u32 % 2));
        let up = ternary_up(s, high, at + 15);
        let w = pairs!(s, l => {
            let entry = s.i_or(byte(s, b, 32, 4 * i + l), field(s, high, at + 3 * l as u32, 8, 0x700));
            ternary(s, s.i_gather(&grid::IQ1, entry), up)
        });
        let scale = s.i_to_f(s.i_or(field(s, high, at + 12, 1, 14), s.i_splat(1)));
        let d = s.f_mul(halfs(s, b, 0), s.f_splat(0.125));
        Lanes::new(s, w, s.f_mul(d, scale))
    }
}
