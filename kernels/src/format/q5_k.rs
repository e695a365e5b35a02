//! Q5_K: Q4_K with a fifth bit per weight: bit `i` of byte `l` of `qh` belongs to weight `l` of sub-block `i`.

use super::q4_k::{scale_offset, scales, six_bits};
use super::{Canon, Head, Lanes, Quant, Section, Stored, field, half_at, nibbles, words};
use crate::isa::Isa;

/// `d: f16, dmin: f16, scales: [u8; 12], qh: [u8; 32], qs: [u8; 128]`.
pub struct Q5K;

impl Quant for Q5K {
    type Form = Stored<5, 0, false, true>;
    const BLOCK: usize = 256;
    const BYTES: usize = 176;
    const PLAN: &'static [Section] = &[
        Section::Half(0),
        Section::Half(2),
        Section::Words { at: 4, n: 3 },
        Section::Words { at: 16, n: 8 },
        Section::Words { at: 48, n: 32 },
    ];
    const WORDS: bool = true;
    const IN_ORDER: bool = false;

    #[inline(always)]
    fn decode(b: &[u8], i: usize) -> Canon {
        let (sc, mn) = six_bits(b, 4, i);
        let q = std::array::from_fn(|k| {
            let low = b[48 + i / 2 * 32 + k] >> (4 * (i % 2)) & 15;
            (low | (b[16 + k] >> i & 1) << 4) as i8
        });
        Canon { offset: -(half_at(b, 2) * f32::from(mn)), ..Canon::new(q, half_at(b, 0) * f32::from(sc)) }
    }

    #[inline(always)]
    fn word<S: Isa>(s: S, b: &[u8], i: usize, g: usize) -> S::I {
        let low = nibbles(s, words(s, b, 768, i / 2 * 8 + g), i % 2 == 1);
        s.i_or(low, field(s, words(s, b, 256, g), i as u32, 4, 0x1010_1010))
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
