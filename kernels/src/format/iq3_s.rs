//! IQ3_S: 256 weights in fours out of a codebook of 512, with their signs; 4-bit scales for every 32 under one half
//! super-scale.

use super::codebook::{byte, fours, odd_scale};
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
    const QUICK: bool = false;
    const BY_BYTES: bool = true;

    #[inline(always)]
    fn decode(b: &[u8], i: usize) -> Canon {
        let q = std::array::from_fn(|k| {
            let g = k / 4;
            let entry = usize::from(b[2 + 8 * i + g]) | usize::from(b[66 + i] >> g & 1) << 8;
            let q = grid::IQ3_S.words[entry][k % 4] as i8 - 16;
            if b[74 + 4 * i + k / 8] >> (k % 8) & 1 == 1 { -q } else { q }
        });
        let scale = b[106 + i / 2] >> (4 * (i % 2)) & 15;
        Canon::new(q, half_at(b, 0) * f32::from(2 * scale + 1))
    }

    #[inline(always)]
    fn sub<S: Isa>(s: S, b: &[u8], i: usize) -> Lanes<S> {
        let (high, signs) = (words(s, b, 1056, i / 4), words(s, b, 1184, i));
        let at = 8 * (i as u32 % 4);
        let w = if S::FINDS_BYTES {
            let index = [words(s, b, 32, 2 * i), words(s, b, 32, 2 * i + 1)];
            s.b_fours(&grid::IQ3_S, index, (high, at), signs)
        } else if S::BOOKS {
            let [a, c] = [words(s, b, 32, 2 * i), words(s, b, 32, 2 * i + 1)];
            let index = [
                index_pair(s, a, high, at),
                index_pair(s, s.i_shr(a, 8), high, at + 1),
                index_pair(s, c, high, at + 4),
                index_pair(s, s.i_shr(c, 8), high, at + 5),
            ];
            fours(s, &grid::IQ3_S, index, 32, signs)
        } else {
            eight!(s, g => {
                let entry = s.i_or(byte(s, b, 32, 8 * i + g), field(s, high, at + g as u32, 8, 0x100));
                s.b_reflect(s.i_gather(&grid::IQ3_S.words, entry), 32, signs, g)
            })
        };
        let scale = odd_scale(s, words(s, b, 1696, 0), 4 * i as u32);
        Lanes::new(s, w, s.f_mul(halfs(s, b, 0), scale))
    }
}

/// Bytes 0 and 2 of every lane, each in a half of it, with bits `at` and `at + 2` of `high` above.
#[inline(always)]
fn index_pair<S: Isa>(s: S, low: S::I, high: S::I, at: u32) -> S::I {
    let above = s.i_or(field(s, high, at, 8, 0x100), field(s, high, at + 2, 24, 0x100_0000));
    s.i_or(field(s, low, 0, 0, 0xff_00ff), above)
}
