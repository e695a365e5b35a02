//! Q4_0: 32 weights, one half scale, nibbles with zero point 8; low nibbles are weights 0..16, high ones 16..32.

use super::{Canon, Lanes, Quant, Section, Stored, half_at, halfs, nibbles, words};
use crate::isa::Isa;

/// `d: f16, qs: [u8; 16]`.
pub struct Q4_0;

impl Quant for Q4_0 {
    type Form = Stored<4, 8, false, false>;
    const BLOCK: usize = 32;
    const BYTES: usize = 18;
    const PLAN: &'static [Section] = &[Section::Half(0), Section::Words { at: 2, n: 4 }];

    #[inline(always)]
    fn decode(b: &[u8], _: usize) -> Canon {
        let q = std::array::from_fn(|k| {
            let byte = b[2 + k % 16];
            (if k < 16 { byte & 15 } else { byte >> 4 }) as i8 - 8
        });
        Canon::new(q, half_at(b, 0))
    }

    #[inline(always)]
    fn sub<S: Isa>(s: S, b: &[u8], _: usize) -> Lanes<S> {
        let w = eight!(s, g => nibbles(s, words(s, b, 32, g % 4), g >= 4));
        Lanes::new(s, w, halfs(s, b, 0))
    }
}
