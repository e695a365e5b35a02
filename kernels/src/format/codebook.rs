//! What the formats with codebooks (see [`super::grid`]) share: signs and indices.

use super::{field, words};
use crate::isa::Isa;

/// Signs of eight weights from a code of seven bits: the eighth makes their number even.
#[inline(always)]
pub(super) fn even_signs(code: u32) -> u32 {
    let code = code & 127;
    code | (code.count_ones() & 1) << 7
}

/// The same for four codes in every lane, in the low seven bits of its bytes.
#[inline(always)]
pub(super) fn even_signs_lanes<S: Isa>(s: S, codes: S::I) -> S::I {
    // Folds each byte onto its lowest bit; what comes in from the neighbour stays above that.
    let x = s.i_xor(codes, s.i_shr(codes, 4));
    let x = s.i_xor(x, s.i_shr(x, 2));
    let x = s.i_xor(x, s.i_shr(x, 1));
    s.i_or(codes, field(s, x, 0, 7, 0x8080_8080))
}

/// Four codes of seven bits in the low 28 bits of every lane, to its bytes.
#[inline(always)]
pub(super) fn spread_codes<S: Isa>(s: S, v: S::I) -> S::I {
    let low = s.i_or(field(s, v, 0, 0, 0x7f), field(s, v, 7, 8, 0x7f00));
    let high = s.i_or(field(s, v, 14, 16, 0x7f_0000), field(s, v, 21, 24, 0x7f00_0000));
    s.i_or(low, high)
}

/// Byte `n` (counted over all words) of the packed section at `at`, moved to the low bits of every lane.
#[inline(always)]
pub(super) fn byte<S: Isa>(s: S, b: &[u8], at: usize, n: usize) -> S::I {
    field(s, words(s, b, at, n / 4), 8 * (n as u32 % 4), 0, 0xff)
}

/// `d` times `2 n + 1`, where `n` is four bits of each lane from bit `at` on; exact.
#[inline(always)]
pub(super) fn odd_scale<S: Isa>(s: S, v: S::I, at: u32) -> S::F {
    s.i_to_f(s.i_or(field(s, v, at, 1, 30), s.i_splat(1)))
}

/// Eight registers from four pairs.
macro_rules! pairs {
    ($s:ident, $l:ident => $e:expr) => {{
        let mut all = [$s.i_splat(0); 8];
        crate::isa::each!(4, $l => { [all[2 * $l], all[2 * $l + 1]] = $e; });
        all
    }};
}
pub(super) use pairs;
