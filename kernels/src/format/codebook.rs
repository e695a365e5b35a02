//! What the formats with codebooks (see [`super::grid`]) share: signs and indices.

use super::grid::LEVELS;
use super::{field, words};
use crate::isa::{Book, Isa};

/// Signs of eight weights from a code of seven bits: the eighth makes their number even.
#[inline(always)]
pub(super) fn even_signs(code: u32) -> u32 {
    let code = code & 127;
    code | (code.count_ones() & 1) << 7
}

/// The same for four codes in every lane, in the low seven bits of its bytes.
#[inline(always)]
pub(super) fn even_signs_lanes<S: Isa>(s: S, codes: S::I) -> S::I {
    let low = s.b_lookup_low(&ODD, codes);
    let high = s.b_lookup_low(&ODD, field(s, codes, 4, 0, 0x0707_0707));
    s.i_or(codes, s.i_xor(low, high))
}

/// The top bit for numbers with an odd number of bits.
static ODD: [u8; 16] = {
    let mut all = [0; 16];
    let mut n = 0;
    while n < 16 {
        all[n] = (n.count_ones() as u8 & 1) << 7;
        n += 1;
    }
    all
};

/// Four codes of seven bits in the low 28 bits of every lane, to its bytes.
#[inline(always)]
pub(super) fn spread_codes<S: Isa>(s: S, v: S::I) -> S::I {
    if S::FINDS_BYTES {
        return s.b_codes(v);
    }
    let pairs = s.i_or(field(s, v, 0, 0, 0x3fff), field(s, v, 14, 16, 0x3fff_0000));
    s.i_or(field(s, pairs, 0, 0, 0x7f_007f), field(s, pairs, 7, 8, 0x7f00_7f00))
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

/// The weights of an entry of eight levels in each lane, with byte `l` of `signs`, as two registers.
#[inline(always)]
pub(super) fn levels<S: Isa>(s: S, entry: S::I, signs: S::I, l: usize) -> [S::I; 2] {
    // No nibble has its top bit set, which `b_lookup_low` asks for.
    let v = s.i_or(entry, s.b_signs(signs, l));
    [s.b_lookup_low(&LEVELS, v), s.b_lookup_low(&LEVELS, s.i_shr(v, 4))]
}

/// The weights of eight entries of four: those that the halves of `index[0]` number are the first and the third, and so
/// on: those of `index[1]` the second and the fourth, of `index[2]` the fifth and the seventh. `sum - b` takes the place
/// of a weight `b` whose bit of `signs` is set.
#[inline(always)]
pub(super) fn fours<S: Isa, const N: usize>(s: S, book: &Book<N>, index: [S::I; 4], sum: u8, signs: S::I) -> [S::I; 8] {
    let entries = s.i_entries(book, index);
    eight!(s, g => s.b_reflect(entries[2 * (g / 4) + g % 2][g / 2 % 2], sum, signs, g))
}

/// What makes an entry of eight ternary numbers eighths of weights, `up` where bit `at` of the lane is clear and down
/// elsewhere: 2 in each byte, or 0.
#[inline(always)]
pub(super) fn ternary_up<S: Isa>(s: S, v: S::I, at: u32) -> S::I {
    let down = s.i_sar(s.i_shl(v, 31 - at), 31);
    s.i_and(s.i_xor(down, s.i_splat(-1)), s.i_splat(0x0202_0202))
}

/// The weights of an entry of eight ternary numbers in each lane, in eighths with 9 added, as two registers: numbers are
/// 0, 8, 16, and `up` fills the gap below.
#[inline(always)]
pub(super) fn ternary<S: Isa>(s: S, entry: S::I, up: S::I) -> [S::I; 2] {
    [s.i_or(field(s, entry, 0, 0, 0x1818_1818), up), s.i_or(field(s, entry, 2, 0, 0x1818_1818), up)]
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
