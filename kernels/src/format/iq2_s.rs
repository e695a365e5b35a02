//! IQ2_S: 256 weights in eights out of a codebook of 1024, with their signs; 4-bit scales for every 16 under one half
//! super-scale.

use super::codebook::{byte, levels, odd_scale, pairs};
use super::{Canon, Lanes, Quant, Section, Stored, field, grid, half_at, halfs, words};
use crate::isa::Isa;

/// `d: f16, qs: [u8; 32], signs: [u8; 32], qh: [u8; 8], scales: [u8; 8]`: entry `l` of sub-block `i` is `qs[4 i + l]`
/// and above it bits `2 l` of `qh[i]`; a nibble of `scales` for each half; weight = d / 8 (2 sc + 1) q.
pub struct Iq2S;

impl Quant for Iq2S {
    type Form = Stored<7, 64, true, false>;
    const BLOCK: usize = 256;
    const BYTES: usize = 82;
    const PLAN: &'static [Section] = &[
        Section::Half(0),
        Section::Words { at: 2, n: 8 },
        Section::Words { at: 34, n: 8 },
        Section::Words { at: 66, n: 2 },
        Section::Words { at: 74, n: 2 },
    ];
    const MIXED: bool = true;
    const QUICK: bool = false;

    #[inline(always)]
    fn decode(b: &[u8], i: usize) -> Canon {
        let q = std::array::from_fn(|k| {
            let l = k / 8;
            let entry = usize::from(b[2 + 4 * i + l]) | usize::from(b[66 + i] >> (2 * l) & 3) << 8;
            let q = grid::level(grid::IQ2_S[entry], k % 8);
            if b[34 + 4 * i + l] >> (k % 8) & 1 == 1 { -q } else { q }
        });
        let half = [0, 1].map(|h| f32::from(2 * (b[74 + i] >> (4 * h) & 15) + 1));
        Canon { half, ..Canon::new(q, half_at(b, 0) * 0.125) }
    }

    #[inline(always)]
    fn sub<S: Isa>(s: S, b: &[u8], i: usize) -> Lanes<S> {
        let (signs, high, at) = (words(s, b, 544, i), words(s, b, 1056, i / 4), 8 * (i as u32 % 4));
        let w = pairs!(s, l => {
            let entry = s.i_or(byte(s, b, 32, 4 * i + l), field(s, high, at + 2 * l as u32, 8, 0x300));
            levels(s, s.i_gather(&grid::IQ2_S, entry), signs, l)
        });
        let scales = words(s, b, 1184, i / 4);
        let half = [odd_scale(s, scales, at), odd_scale(s, scales, at + 4)];
        Lanes { half, ..Lanes::new(s, w, s.f_mul(halfs(s, b, 0), s.f_splat(0.125))) }
    }
}
