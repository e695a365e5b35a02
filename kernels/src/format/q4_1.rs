//! Q4_1: 32 weights, half scale and half minimum, nibbles; low nibbles are weights 0..16, high ones 16..32.

use super::{Canon, Lanes, Quant, Section, Stored, half_at, halfs, nibbles, words};
use crate::isa::Isa;

/// `d: f16, m: f16, qs: [u8; 16]`; weight = d q + m.
pub struct Q4_1;

impl Quant for Q4_1 {
    type Form = Stored<4, 0, false, true>;
    const BLOCK: usize = 32;
    const BYTES: usize = 20;
    const PLAN: &'static [Section] = &[Section::Half(0), Section::Half(2), Section::Words { at: 4, n: 4 }];

    #[inline(always)]
    fn decode(b: &[u8], _: usize) -> Canon {
        let q = std::array::from_fn(|k| {
            let byte = b[4 + k % 16];
            (if k < 16 { byte & 15 } else { byte >> 4 }) as i8
        });
        Canon { offset: half_at(b, 2), ..Canon::new(q, half_at(b, 0)) }
    }

    #[inline(always)]
    fn sub<S: Isa>(s: S, b: &[u8], _: usize) -> Lanes<S> {
        let w = eight!(s, g => nibbles(s, words(s, b, 64, g % 4), g >= 4));
        Lanes { offset: halfs(s, b, 32), ..Lanes::new(s, w, halfs(s, b, 0)) }
    }
}
