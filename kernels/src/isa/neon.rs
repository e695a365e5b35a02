//! NEON, which every aarch64 CPU has: sixteen lanes are four registers; byte products go through 16-bit sums.
//!
//! Weights below 128 are signed bytes as they are, so one signed multiplication serves all widths.

use super::aarch64::{simd, token};
use super::lanes128::{bytes, four, lanes128, narrow, prefetch, quads, widen, words};
use super::{Isa, Kernel, Words};
use std::arch::aarch64::*;

token! {
    /// Proof that the CPU has NEON.
    Neon: ["neon"]
}

impl From<super::neon_dotprod::NeonDotprod> for Neon {
    /// Dot products come on top of the same features.
    fn from(_: super::neon_dotprod::NeonDotprod) -> Self {
        Self(())
    }
}

impl From<super::neon_i8mm::NeonI8mm> for Neon {
    /// So do products of matrices.
    fn from(_: super::neon_i8mm::NeonI8mm) -> Self {
        Self(())
    }
}

/// How many products of `bits`-wide weights and +-127 an i16 can hold: 8 * 31 * 127 = 31,496 and so on; of signed 8-bit
/// weights two, 2 * 128 * 127 = 32,512.
const fn room(bits: u32) -> usize {
    match bits {
        0..=5 => 8,
        6 => 4,
        _ => 2,
    }
}

/// Products of 16 bytes with the four activations of a word, as i16: rows 0 and 1, then 2 and 3; `to` is added.
#[inline(always)]
fn products(to: [int16x8_t; 2], w: int32x4_t, x: int8x16_t) -> [int16x8_t; 2] {
    // SAFETY: NEON is part of the baseline of this architecture.
    unsafe {
        let w = vreinterpretq_s8_s32(w);
        [vmlal_s8(to[0], vget_low_s8(w), vget_low_s8(x)), vmlal_high_s8(to[1], w, x)]
    }
}

/// Four activations in each lane.
#[inline(always)]
fn spread(x: [i8; 4]) -> int8x16_t {
    // SAFETY: as for `products`.
    unsafe { vreinterpretq_s8_s32(vdupq_n_s32(bytemuck::cast(x))) }
}

/// [`Isa::dot_tiles`]. A function of its own, as that of `sdot.rs`.
///
/// # Safety
/// The CPU has NEON.
#[target_feature(enable = "neon")]
#[inline(never)]
unsafe fn products_of<const BITS: u32, const T: usize, const C: usize>(
    w: [&[[u8; 64]; 8]; T],
    x: [&[[i8; 4]; 8]; C],
    range: [usize; 2],
    acc: &mut [[[int32x4_t; 4]; C]; T],
) {
    // Four rows at a time: their 16-bit and 32-bit sums for six columns fit the 32 registers.
    let step = const { if room(BITS) < 4 { room(BITS) } else { 4 } };
    for (w, acc) in w.iter().zip(&mut *acc) {
        for h in 0..4 {
            let mut sums = [[vdupq_n_s32(0); 2]; C];
            for first in (range[0]..range[1]).step_by(step) {
                let mut pairs = [[vdupq_n_s16(0); 2]; C];
                for g in first..first + step {
                    // SAFETY: 16 bytes of a slice of 64 from at most 48 on.
                    let w = words(unsafe { vld1q_u8(w[g][16 * h..].as_ptr()) });
                    each!(C, c => { pairs[c] = products(pairs[c], w, spread(x[c][g])); });
                }
                each!(C, c => {
                    sums[c] = [vpadalq_s16(sums[c][0], pairs[c][0]), vpadalq_s16(sums[c][1], pairs[c][1])];
                });
            }
            each!(C, c => { acc[c][h] = vaddq_s32(acc[c][h], vpaddq_s32(sums[c][0], sums[c][1])); });
        }
    }
}

impl Isa for Neon {
    lanes128!();
    const SIGNED_ZERO: i32 = 0;
    const WIDE_IS_CHEAP: bool = false;

    #[inline(always)]
    fn i_signed(self, w: Self::I) -> Self::I {
        w
    }
    #[inline(always)]
    fn dot<const BITS: u32, const N: usize>(self, w: &impl Words<Self>, x: &[[i8; 4]; N], init: Self::I) -> Self::I {
        let mut acc = init;
        let mut words = [init; N];
        each!(N, g => { words[g] = w.word(self, g); });
        quads!(h => {
            let (none, zero) = simd!(([vdupq_n_s16(0); 2], [vdupq_n_s32(0); 2]));
            let (mut pairs, mut sums) = (none, zero);
            each!(N, g => {
                let to = if g.is_multiple_of(const { room(BITS) }) { none } else { pairs };
                pairs = products(to, words[g][h], spread(x[g]));
                if (g + 1).is_multiple_of(const { room(BITS) }) || g + 1 == N {
                    sums = simd!([vpadalq_s16(sums[0], pairs[0]), vpadalq_s16(sums[1], pairs[1])]);
                }
            });
            acc[h] = simd!(vaddq_s32(acc[h], vpaddq_s32(sums[0], sums[1])));
        });
        acc
    }
    #[inline(always)]
    fn dot_tiles<const BITS: u32, const T: usize, const C: usize>(
        self,
        w: [&[[u8; 64]; 8]; T],
        x: [&[[i8; 4]; 8]; C],
        range: [usize; 2],
        acc: &mut [[Self::I; C]; T],
    ) {
        // SAFETY: NEON is part of the baseline of this architecture.
        unsafe { products_of::<BITS, T, C>(w, x, range, acc) }
    }
}
