//! IQ3_XXS: 256 weights in fours out of a codebook of 256; a word for every 32 holds four sign codes and a 4-bit scale.

use super::codebook::{byte, even_signs, even_signs_lanes, fours, odd_scale, spread_codes};
use super::{Canon, Lanes, Quant, Section, Stored, grid, half_at, halfs, words};
use crate::isa::Isa;

/// `d: f16, qs: [u8; 64], codes: [u32; 8]`: sign code `l` (seven bits) is for weights `8 l ..`, the top four bits are
/// the scale; weight = d / 4 (2 sc + 1) q.
pub struct Iq3Xxs;

impl Quant for Iq3Xxs {
    type Form = Stored<7, 64, false, false>;
    const BLOCK: usize = 256;
    const BYTES: usize = 98;
    const PLAN: &'static [Section] =
        &[Section::Half(0), Section::Words { at: 2, n: 16 }, Section::Words { at: 66, n: 8 }];
    const MIXED: bool = true;
    const QUICK: bool = false;
    const BY_BYTES: bool = true;

    #[inline(always)]
    fn decode(b: &[u8], i: usize) -> Canon {
        let word = u32::from_le_bytes(*b[66 + 4 * i..].first_chunk().expect("4 bytes"));
        let q = std::array::from_fn(|k| {
            let q = (grid::IQ3_XXS.words[usize::from(b[2 + 8 * i + k / 4])][k % 4] - 64) as i8;
            if even_signs(word >> (7 * (k / 8))) >> (k % 8) & 1 == 1 { -q } else { q }
        });
        Canon::new(q, half_at(b, 0) * 0.25 * (2 * (word >> 28) + 1) as f32)
    }

    #[inline(always)]
    fn sub<S: Isa>(s: S, b: &[u8], i: usize) -> Lanes<S> {
        let word = words(s, b, 1056, i);
        let signs = even_signs_lanes(s, spread_codes(s, word));
        let w = if S::FINDS_BYTES {
            let index = [words(s, b, 32, 2 * i), words(s, b, 32, 2 * i + 1)];
            s.b_fours(&grid::IQ3_XXS, index, (signs, 0), signs)
        } else if S::BOOKS {
            let [a, c] = [words(s, b, 32, 2 * i), words(s, b, 32, 2 * i + 1)];
            // Of each half of an index, eight bits count.
            fours(s, &grid::IQ3_XXS, [a, s.i_shr(a, 8), c, s.i_shr(c, 8)], 128, signs)
        } else {
            eight!(s, g => {
                s.b_reflect(s.i_gather(&grid::IQ3_XXS.words, byte(s, b, 32, 8 * i + g)), 128, signs, g)
            })
        };
        let d = s.f_mul(halfs(s, b, 0), s.f_splat(0.25));
        Lanes::new(s, w, s.f_mul(d, odd_scale(s, word, 28)))
    }
}
