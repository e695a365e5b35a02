//! TQ2_0: 256 weights of two bits, zero point 1 (the ternary weights -1, 0, 1), and one half scale.
//!
//! Sub-block `i` of 32 lies at bit `2 (i % 4)` of `qs[32 (i / 4) ..]`.

use super::{Canon, Lanes, Quant, Section, Stored, field, half_at, halfs, words};
use crate::isa::Isa;

/// `qs: [u8; 64], d: f16`.
pub struct Tq2_0;

impl Quant for Tq2_0 {
    type Form = Stored<2, 1, false, false>;
    const BLOCK: usize = 256;
    const BYTES: usize = 66;
    const PLAN: &'static [Section] = &[Section::Half(64), Section::Words { at: 0, n: 16 }];

    #[inline(always)]
    fn decode(b: &[u8], i: usize) -> Canon {
        let q = std::array::from_fn(|k| (b[32 * (i / 4) + k] >> (2 * (i % 4)) & 3) as i8 - 1);
        Canon::new(q, half_at(b, 64))
    }

    #[inline(always)]
    fn sub<S: Isa>(s: S, b: &[u8], i: usize) -> Lanes<S> {
        let w = eight!(s, g => field(s, words(s, b, 32, 8 * (i / 4) + g), 2 * (i as u32 % 4), 0, 0x0303_0303));
        Lanes::new(s, w, halfs(s, b, 0))
    }
}
