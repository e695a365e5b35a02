//! TQ1_0: 256 ternary weights (-1, 0, 1), five to a byte, and one half scale.
//!
//! A byte is a fraction of 256 written in base 3: its first digit is `3 b / 256`, and the next ones follow when `b` is
//! multiplied by 3 and the digit dropped. Digit `n` of bytes 0..32 makes sub-block `n`; that of bytes 32..48 weights
//! `160 + 16 n ..`; the last four bytes have four digits each, for weights `240 + 4 n ..`.

use super::{Canon, Lanes, Quant, Section, Stored, half_at, halfs, words};
use crate::isa::{Isa, each};
use crate::op::quantize::ActBlock;

/// `qs: [u8; 48], qh: [u8; 4], d: f16`.
pub struct Tq1_0;

const POWERS: [u8; 5] = [1, 3, 9, 27, 81];

/// Which word of four bytes holds the weights of group `g` of sub-block `i`, and as which digit.
#[inline(always)]
const fn place(i: usize, g: usize) -> (usize, usize) {
    match (i, g) {
        (0..5, _) => (g, i),
        (7, 4..) => (12, g - 4),
        _ => (8 + g % 4, 2 * (i - 5) + g / 4),
    }
}

/// Digit `n` of every byte.
#[inline(always)]
fn digits<S: Isa>(s: S, v: S::I, n: usize) -> S::I {
    let power = i32::from(POWERS[n]);
    // In 16 bits: a byte in the upper half, times the power, is what is left after the digits before. Its product with
    // 3 has the digit above bit 16. Even bytes are moved up by the multiplication itself.
    let even = s.h_mul_high(s.h_mul(v, s.i_splat(0x0100_0100 * power)), s.i_splat(0x0003_0003));
    let odd = s.h_mul(s.i_and(v, s.i_splat(0xff00_ff00_u32 as i32)), s.i_splat(0x0001_0001 * power));
    let odd = s.i_and(s.h_mul_high(odd, s.i_splat(0x0300_0300)), s.i_splat(0x0300_0300));
    s.i_or(even, odd)
}

impl Quant for Tq1_0 {
    type Form = Stored<2, 1, false, false>;
    const BLOCK: usize = 256;
    const BYTES: usize = 54;
    const PLAN: &'static [Section] = &[Section::Half(52), Section::Words { at: 0, n: 13 }];
    const QUICK: bool = false;
    const RUNNING: bool = true;

    #[inline(always)]
    fn decode(b: &[u8], i: usize) -> Canon {
        let q = std::array::from_fn(|k| {
            let (word, n) = place(i, k / 4);
            let left = b[4 * word + k % 4].wrapping_mul(POWERS[n]);
            (u16::from(left) * 3 / 256) as i8 - 1
        });
        Canon::new(q, half_at(b, 52))
    }

    #[inline(always)]
    fn sub<S: Isa>(s: S, b: &[u8], i: usize) -> Lanes<S> {
        let w = eight!(s, g => {
            let (word, n) = place(i, g);
            digits(s, words(s, b, 32, word), n)
        });
        Lanes::new(s, w, halfs(s, b, 0))
    }

    /// What is left of a byte `b` behind its first digit is `c = 3 b % 256`, so `256 digit = 3 b - c`: a sum over digits is
    /// three times one over bytes, less one over what is left, and no digit need be made.
    #[inline(always)]
    fn running_sum<S: Isa>(s: S, state: &mut [S::I; 8], block: &[u8], i: usize, x: &ActBlock) -> S::I {
        let (mut now, mut left) = (*state, *state);
        match i {
            0..5 => {
                each!(8, g => {
                    now[g] = if i == 0 { words(s, block, 32, g) } else { state[g] };
                    left[g] = s.b_thrice(now[g]);
                    state[g] = left[g];
                });
            }
            5 | 6 => {
                each!(4, g => {
                    now[g] = if i == 5 { words(s, block, 32, 8 + g) } else { state[g] };
                    left[g] = s.b_thrice(now[g]);
                    (now[4 + g], left[4 + g]) = (left[g], s.b_thrice(left[g]));
                    state[g] = left[4 + g];
                });
            }
            _ => {
                each!(4, g => {
                    (now[g], left[g]) = (state[g], s.b_thrice(state[g]));
                    now[4 + g] = if g == 0 { words(s, block, 32, 12) } else { left[3 + g] };
                    left[4 + g] = s.b_thrice(now[4 + g]);
                });
            }
        }
        let now = s.dot::<8, 8>(&now, &x.q, s.i_splat(0));
        // 256 times the zero point.
        let zero = s.i_shl(x.start::<S, Self::Form>(s), 8);
        let sum = s.dot::<8, 8>(&left, &x.q, s.i_sub(s.i_splat(0), zero));
        s.i_sar(s.i_sub(s.i_add(s.i_add(now, now), now), sum), 8)
    }
}
