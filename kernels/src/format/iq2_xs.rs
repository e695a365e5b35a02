//! IQ2_XS: 256 weights in eights out of a codebook of 512, each with a sign code; 4-bit scales for every 16 under one
//! half super-scale.

use super::codebook::{even_signs, even_signs_lanes, levels, odd_scale, pairs};
use super::{Canon, Lanes, Quant, Section, Stored, field, grid, half_at, halfs, words};
use crate::isa::Isa;

/// `d: f16, qs: [u16; 32], scales: [u8; 8]`: the low nine bits of `qs` are the entry, the others the sign code; a
/// nibble of `scales` for each half; weight = d / 8 (2 sc + 1) q.
pub struct Iq2Xs;

impl Quant for Iq2Xs {
    type Form = Stored<7, 64, true, false>;
    const BLOCK: usize = 256;
    const BYTES: usize = 74;
    const PLAN: &'static [Section] =
        &[Section::Half(0), Section::Words { at: 2, n: 16 }, Section::Words { at: 66, n: 2 }];
    const MIXED: bool = true;
    const QUICK: bool = false;

    #[inline(always)]
    fn decode(b: &[u8], i: usize) -> Canon {
        let q = std::array::from_fn(|k| {
            let at = 2 + 8 * i + k / 8 * 2;
            let word = u16::from_le_bytes([b[at], b[at + 1]]);
            let q = grid::level(grid::IQ2_XS.words[usize::from(word & 511)], k % 8);
            if even_signs(u32::from(word) >> 9) >> (k % 8) & 1 == 1 { -q } else { q }
        });
        let half = [0, 1].map(|h| f32::from(2 * (b[66 + i] >> (4 * h) & 15) + 1));
        Canon { half, ..Canon::new(q, half_at(b, 0) * 0.125) }
    }

    #[inline(always)]
    fn sub<S: Isa>(s: S, b: &[u8], i: usize) -> Lanes<S> {
        let word = [words(s, b, 32, 2 * i), words(s, b, 32, 2 * i + 1)];
        let low = s.i_or(field(s, word[0], 9, 0, 0x7f), field(s, word[0], 25, 8, 0x7f00));
        let high = s.i_or(field(s, word[1], 9, 16, 0x7f_0000), field(s, word[1], 25, 24, 0x7f00_0000));
        let signs = even_signs_lanes(s, s.i_or(low, high));
        let w = if S::BOOKS {
            // Of each half of an index, nine bits count.
            let entries = s.i_entries(&grid::IQ2_XS, word);
            pairs!(s, l => levels(s, entries[l / 2][l % 2], signs, l))
        } else {
            pairs!(s, l => {
                let entry = field(s, word[l / 2], 16 * (l as u32 % 2), 0, 511);
                levels(s, s.i_gather(&grid::IQ2_XS.words, entry), signs, l)
            })
        };
        let (scales, at) = (words(s, b, 1056, i / 4), 8 * (i as u32 % 4));
        let half = [odd_scale(s, scales, at), odd_scale(s, scales, at + 4)];
        Lanes { half, ..Lanes::new(s, w, s.f_mul(halfs(s, b, 0), s.f_splat(0.125))) }
    }
}
