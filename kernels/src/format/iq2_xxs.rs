//! IQ2_XXS: 256 weights in eights out of a codebook of 256; two words for every 32 hold four entries, four sign codes
//! and a 4-bit scale.

use super::codebook::{byte, even_signs, even_signs_lanes, levels, odd_scale, pairs, spread_codes};
use super::{Canon, Lanes, Quant, Section, Stored, grid, half_at, halfs, words};
use crate::isa::Isa;

/// `d: f16, qs: [[u32; 2]; 8]`: the first word is four entries, the second four sign codes of seven bits and the scale;
/// weight = d / 8 (2 sc + 1) q.
pub struct Iq2Xxs;

impl Quant for Iq2Xxs {
    type Form = Stored<7, 64, false, false>;
    const BLOCK: usize = 256;
    const BYTES: usize = 66;
    const PLAN: &'static [Section] = &[Section::Half(0), Section::Words { at: 2, n: 16 }];
    const MIXED: bool = true;
    const QUICK: bool = false;
    const BY_BYTES: bool = true;

    #[inline(always)]
    fn decode(b: &[u8], i: usize) -> Canon {
        let word = u32::from_le_bytes(*b[2 + 8 * i + 4..].first_chunk().expect("4 bytes"));
        let q = std::array::from_fn(|k| {
            let q = grid::level(grid::IQ2_XXS.words[usize::from(b[2 + 8 * i + k / 8])], k % 8);
            if even_signs(word >> (7 * (k / 8))) >> (k % 8) & 1 == 1 { -q } else { q }
        });
        Canon::new(q, half_at(b, 0) * 0.125 * (2 * (word >> 28) + 1) as f32)
    }

    #[inline(always)]
    fn sub<S: Isa>(s: S, b: &[u8], i: usize) -> Lanes<S> {
        let word = words(s, b, 32, 2 * i + 1);
        let signs = even_signs_lanes(s, spread_codes(s, word));
        let w = if S::FINDS_BYTES {
            s.b_eights(&grid::IQ2_XXS, words(s, b, 32, 2 * i), signs)
        } else if S::BOOKS {
            let index = words(s, b, 32, 2 * i);
            // Of each half of an index, eight bits count.
            let entries = s.i_entries(&grid::IQ2_XXS, [index, s.i_shr(index, 8)]);
            pairs!(s, l => levels(s, entries[l % 2][l / 2], signs, l))
        } else {
            pairs!(s, l => {
                levels(s, s.i_gather(&grid::IQ2_XXS.words, byte(s, b, 32, 8 * i + l)), signs, l)
            })
        };
        let d = s.f_mul(halfs(s, b, 0), s.f_splat(0.125));
        Lanes::new(s, w, s.f_mul(d, odd_scale(s, word, 28)))
    }
}
