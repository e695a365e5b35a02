//! IQ1_M: 256 weights in eights out of the codebook of IQ1_S, each eight shifted by an eighth up or down; 3-bit scales
//! for every 16 under one half super-scale, whose four nibbles are spread over the scales' words.

use super::codebook::{byte, pairs, ternary, ternary_up};
use super::{Canon, Lanes, Quant, Section, Stored, field, grid, words};
use crate::isa::Isa;

/// `qs: [u8; 32], qh: [u8; 16], scales: [u16; 4]`: entry `l` of sub-block `i` is `qs[4 i + l]` and above it three bits
/// of nibble `l` of `qh[2 i ..]`, whose fourth says down; three bits of `scales` for each half, and nibble `n` of d on
/// top of word `n`; weight = d (2 sc + 1) (q ± 1/8).
pub struct Iq1M;

impl Quant for Iq1M {
    type Form = Stored<5, 9, true, false>;
    const BLOCK: usize = 256;
    const BYTES: usize = 56;
    const PLAN: &'static [Section] =
        &[Section::Words { at: 0, n: 8 }, Section::Words { at: 32, n: 4 }, Section::Words { at: 48, n: 2 }];
    const MIXED: bool = true;

    fn write_scales(block: &mut [u8], next: &mut dyn FnMut() -> f32) {
        let d = half::f16::from_f32(next()).to_bits();
        for n in 0..4 {
            let high = &mut block[49 + 2 * n];
            *high = *high & 15 | (d >> (4 * n) << 4) as u8;
        }
    }
    const QUICK: bool = false;

    #[inline(always)]
    fn decode(b: &[u8], i: usize) -> Canon {
        let q = std::array::from_fn(|k| {
            let l = k / 8;
            let high = b[32 + 2 * i + l / 2] >> (4 * (l % 2)) & 15;
            let entry = usize::from(b[4 * i + l]) | usize::from(high & 7) << 8;
            grid::ternary(grid::IQ1[entry], k % 8) + if high >> 3 == 1 { -1 } else { 1 }
        });
        let scales: [u16; 4] = std::array::from_fn(|n| u16::from_le_bytes([b[48 + 2 * n], b[49 + 2 * n]]));
        let half = [2 * i, 2 * i + 1].map(|n| f32::from(2 * (scales[n / 4] >> (3 * (n % 4)) & 7) + 1));
        let d = (0..4).fold(0, |d, n| d | scales[n] >> 12 << (4 * n));
        Canon { half, ..Canon::new(q, half::f16::from_bits(d).to_f32_const() * 0.125) }
    }

    #[inline(always)]
    fn sub<S: Isa>(s: S, b: &[u8], i: usize) -> Lanes<S> {
        let (high, at) = (words(s, b, 512, i / 2), 16 * (i as u32 % 2));
        let w = pairs!(s, l => {
            let nibble = at + 4 * l as u32;
            let entry = s.i_or(byte(s, b, 0, 4 * i + l), field(s, high, nibble, 8, 0x700));
            ternary(s, s.i_gather(&grid::IQ1, entry), ternary_up(s, high, nibble + 3))
        });
        let scales = [words(s, b, 768, 0), words(s, b, 768, 1)];
        let (word, at) = (scales[i / 4], 16 * (i as u32 / 2 % 2) + 6 * (i as u32 % 2));
        let one = s.i_splat(1);
        let half =
            [s.i_to_f(s.i_or(field(s, word, at, 1, 14), one)), s.i_to_f(s.i_or(field(s, word, at + 3, 1, 14), one))];
        let low = s.i_or(field(s, scales[0], 12, 0, 0xf), field(s, scales[0], 28, 4, 0xf0));
        let high = s.i_or(field(s, scales[1], 12, 8, 0xf00), field(s, scales[1], 28, 12, 0xf000));
        Lanes { half, ..Lanes::new(s, w, s.f_mul(s.i_half(s.i_or(low, high)), s.f_splat(0.125))) }
    }
}
