//! IQ3_S: 256 weights in fours out of a codebook of 512, with their signs; 4-bit scales for every 32 under one half
//! super-scale.

use super::codebook::{byte, odd_scale};
use super::{Canon, Lanes, Quant, Section, Stored, field, grid, half_at, halfs, words};
use crate::isa::Isa;

/// `d: f16, qs: [u8; 64], qh: [u8; 8], signs: [u8; 32], scales: [u8; 4]`: entry `g` of sub-block `i` is `qs[8 i + g]`
/// and above it bit `g` of `qh[i]`; weight = d (2 sc + 1) q.
pub struct Iq3S;

impl Quant for Iq3S {
    type Form = Stored<5, 16, false, false>;
    const BLOCK: usize = 256;
    const BYTES: usize = 110;
    const PLAN: &'static [Section] = &[
        Section::Half(0),
        Section::Words { at: 2, n: 16 },
        Section::Words { at: 66, n: 2 },
        Section::Words { at: 74, n: 8 },
        Section::Words { at: 106, n: 1 },
    ];

    #[inline(always)]
    fn decode(b: &[u8], i: usize) -> Canon {
        let q = std::array::from_fn(|k| {
            let g = k / 4;
            let entry = usize::from(b[2 + 8 * i + g]) | usize::from(b[66 + i] >> g & 1) << 8;
            let q = grid::IQ3_S[entry][k % 4] as i8 - 16;
            if b[74 + 4 * i + k / 8] >> (k % 8) & 1 == 1 { -q } else { q }
        });
        let scale = b[106 + i / 2] >> (4 * (i % 2)) & 15;
        Canon::new(q, half_at(b, 0) * f32::from(2 * scale + 1))
    }

    #[inline(always)]
    fn sub<S: Isa>(s: S, b: &[u8], i: usize) -> Lanes<S> {
        let (high, signs) = (words(s, b, 1056, i / 4), words(s, b, 1184, i));
        let w = eight!(s, g => {
            let bit = field(s, high, 8 * (i as u32 % 4) + g as u32, 8, 0x100);
            let entry = s.i_or(byte(s, b, 32, 8 * i + g), bit);
            s.b_reflect(s.i_gather(&grid::IQ3_S, entry), 32, signs, g)
        });
        let scale = odd_scale(s, words(s, b, 1696, 0), 4 * i as u32);
        Lanes::new(s, w, s.f_mul(halfs(s, b, 0), scale))
    }
}
