//! Q3_K: 256 weights of 3 bits, zero point 4; 6-bit scales (zero point 32) for every 16 weights under one half
//! super-scale.
//!
//! Sub-block `i` of 32 has its low two bits at bit `2 (i % 4)` of `qs[32 (i / 4) ..]` and its high bit at bit `i` of
//! `hmask`.

use super::{Canon, Lanes, Quant, Section, Small, field, half_at, halfs, words};
use crate::isa::Isa;

/// `hmask: [u8; 32], qs: [u8; 64], scales: [u8; 12], d: f16`; weight = d sc q.
pub struct Q3K;

impl Quant for Q3K {
    type Form = Small<3, 4, false>;
    const BLOCK: usize = 256;
    const BYTES: usize = 110;
    const PLAN: &'static [Section] = &[
        Section::Half(108),
        Section::Words { at: 96, n: 3 },
        Section::Words { at: 0, n: 8 },
        Section::Words { at: 32, n: 16 },
    ];
    const WORDS: bool = true;
    const IN_ORDER: bool = false;

    #[inline(always)]
    fn decode(b: &[u8], i: usize) -> Canon {
        let q = std::array::from_fn(|k| {
            let low = b[32 + 32 * (i / 4) + k] >> (2 * (i % 4)) & 3;
            (low | (b[k] >> i & 1) << 2) as i8 - 4
        });
        // Scale `n`: four bits in a nibble of the first eight bytes, two above them in the last four.
        let half = [2 * i, 2 * i + 1].map(|n| {
            let low = b[96 + n % 8] >> (4 * (n / 8)) & 15;
            let high = b[104 + n % 4] >> (2 * (n / 4)) & 3;
            f32::from((low | high << 4) as i8 - 32)
        });
        Canon { half, ..Canon::new(q, half_at(b, 108)) }
    }

    #[inline(always)]
    fn word<S: Isa>(s: S, b: &[u8], i: usize, g: usize) -> S::I {
        let low = field(s, words(s, b, 736, 8 * (i / 4) + g), 2 * (i as u32 % 4), 0, 0x0303_0303);
        s.i_or(low, field(s, words(s, b, 224, g), i as u32, 2, 0x0404_0404))
    }

    #[inline(always)]
    fn sub<S: Isa>(s: S, b: &[u8], i: usize) -> Lanes<S> {
        let w = eight!(s, g => Self::word(s, b, i, g));
        let (low, high) = (words(s, b, 32, i % 4 / 2), words(s, b, 32, 2));
        let (n, low_at, high_at) = (16 * (i as u32 % 2), 4 * (i as u32 / 4), 2 * (i as u32 / 2));
        let first = s.i_or(field(s, low, n + low_at, 0, 15), field(s, high, n + high_at, 4, 48));
        let second = s.i_or(field(s, low, n + 8 + low_at, 0, 15), field(s, high, n + 8 + high_at, 4, 48));
        let zero = s.i_splat(32);
        let half = [s.i_to_f(s.i_sub(first, zero)), s.i_to_f(s.i_sub(second, zero))];
        Lanes { half, ..Lanes::new(s, w, halfs(s, b, 0)) }
    }
}
