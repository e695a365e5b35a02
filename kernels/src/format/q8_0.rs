//! Q8_0: 32 signed bytes and a half scale.

use super::{Canon, Lanes, Quant, Section, Stored, half_at, halfs, words};
use crate::isa::Isa;

/// `d: f16, qs: [i8; 32]`.
pub struct Q8_0;

impl Quant for Q8_0 {
    type Form = Stored<8, 0, false, false>;
    const BLOCK: usize = 32;
    const BYTES: usize = 34;
    const PLAN: &'static [Section] = &[Section::Half(0), Section::Words { at: 2, n: 8 }];

    #[inline(always)]
    fn decode(b: &[u8], _: usize) -> Canon {
        Canon::new(std::array::from_fn(|k| b[2 + k] as i8), half_at(b, 0))
    }

    #[inline(always)]
    fn sub<S: Isa>(s: S, b: &[u8], _: usize) -> Lanes<S> {
        let w = eight!(s, g => words(s, b, 32, g));
        Lanes::new(s, w, halfs(s, b, 0))
    }
}
