//! IQ4_NL: 32 weights, one half scale, nibbles that choose among sixteen values; low nibbles are weights 0..16, high
//! ones 16..32.

use super::{Canon, Lanes, Quant, Section, Stored, half_at, halfs, nibbles, words};
use crate::isa::Isa;

/// `d: f16, qs: [u8; 16]`; weight = d value.
pub struct Iq4Nl;

/// The values: the lattice of the format, denser near zero.
const VALUES: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/// The 32 values whose nibbles are at `qs`.
#[inline(always)]
pub(super) fn values(b: &[u8], qs: usize) -> [i8; 32] {
    std::array::from_fn(|k| {
        let byte = b[qs + k % 16];
        VALUES[usize::from(if k < 16 { byte & 15 } else { byte >> 4 })]
    })
}

/// Word `g` of the same over lanes, from the four words of the packed section at `qs` that begin with its word `n`.
#[inline(always)]
pub(super) fn values_word<S: Isa>(s: S, b: &[u8], qs: usize, n: usize, g: usize) -> S::I {
    s.b_lookup(bytemuck::cast_ref(&VALUES), nibbles(s, words(s, b, qs, n + g % 4), g >= 4))
}

impl Quant for Iq4Nl {
    type Form = Stored<8, 0, false, false>;
    const BLOCK: usize = 32;
    const BYTES: usize = 18;
    const PLAN: &'static [Section] = &[Section::Half(0), Section::Words { at: 2, n: 4 }];
    const WORDS: bool = true;

    #[inline(always)]
    fn decode(b: &[u8], _: usize) -> Canon {
        Canon::new(values(b, 2), half_at(b, 0))
    }

    #[inline(always)]
    fn word<S: Isa>(s: S, b: &[u8], _: usize, g: usize) -> S::I {
        values_word(s, b, 32, 0, g)
    }

    #[inline(always)]
    fn sub<S: Isa>(s: S, b: &[u8], i: usize) -> Lanes<S> {
        let w = eight!(s, g => Self::word(s, b, i, g));
        Lanes::new(s, w, halfs(s, b, 0))
    }
}
