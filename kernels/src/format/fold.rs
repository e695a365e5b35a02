//! Small weights whose factors of halves can be multiplied in: one 8-bit integer does for both.
//!
//! A column pays for halves twice: two integer sums a sub-block instead of one, and the arithmetic that joins them.
//! Where a panel of weights meets many columns, and 8-bit weights cost no more than narrow ones, it is cheaper to store
//! `q * half` in it. The integer sum is the same, so are the bits of the result.

use super::{Form, Lanes};
use crate::isa::{Isa, each};

/// Weights of few bits with integer factors of halves, of magnitude at most `255 / (2^BITS - 1)`, and integer factors
/// of the offset of halves where there is one. `(ZERO - stored) * half` fits an i8.
pub struct Small<const BITS: u32, const ZERO: i32, const OFFSET: bool>;

/// [`Small`] with the factors multiplied in.
pub struct Folded<const OFFSET: bool>;

impl<const BITS: u32, const ZERO: i32, const OFFSET: bool> Form for Small<BITS, ZERO, OFFSET> {
    const BITS: u32 = BITS;
    const ZERO: i32 = ZERO;
    const HALVES: bool = true;
    const OFFSET: bool = OFFSET;
    const OFFSET_HALVES: bool = OFFSET;
    type Folded = Folded<OFFSET>;

    /// `(ZERO - stored) * half` and the scale negated: the range of Q3_K's products is -124..=128, so that minus them
    /// fits.
    #[inline(always)]
    fn fold<S: Isa>(s: S, mut lanes: Lanes<S>) -> Lanes<S> {
        each!(2, h => {
            let half = s.f_round(lanes.half[h]);
            let sign = s.i_sar(half, 31);
            let size = s.i_sub(s.i_xor(half, sign), sign);
            let zero = s.i_mul(size, s.i_splat(ZERO * 0x0101_0101));
            // No product of two bytes passes 255, so none reaches its neighbour.
            let factor = s.i_or(size, s.i_shl(size, 16));
            each!(4, g => {
                let w = s.b_sub(zero, s.h_mul(lanes.w[4 * h + g], factor));
                lanes.w[4 * h + g] = s.b_sub(s.i_xor(w, sign), sign);
            });
        });
        lanes.scale = s.f_mul(lanes.scale, s.f_splat(-1.0));
        lanes
    }
}

impl<const OFFSET: bool> Form for Folded<OFFSET> {
    const BITS: u32 = 8;
    const ZERO: i32 = 0;
    const HALVES: bool = false;
    const OFFSET: bool = OFFSET;
    const OFFSET_HALVES: bool = OFFSET;
    type Folded = Self;

    #[inline(always)]
    fn fold<S: Isa>(_: S, lanes: Lanes<S>) -> Lanes<S> {
        lanes
    }
}
