//! The instruction `sdot`: four byte products a lane, and what the instruction sets that have it share.
//!
//! Its intrinsics are not stable in Rust 1.95, hence `asm!`. In the form used here one register of activations holds four
//! words, and the instruction names the one that all lanes take: no word has to be spread first. Weights below 128 are
//! signed bytes as they are.

use super::lanes128::{quads, words};
use std::arch::aarch64::*;
use std::arch::asm;

/// Lane `j` of the result: `acc[j]` and the four byte products of lane `j` of `w` with word `LANE` of `x`.
///
/// # Safety
/// The CPU has `dotprod`.
#[inline(always)]
pub(super) unsafe fn sdot<const LANE: usize>(mut acc: int32x4_t, w: int32x4_t, x: int8x16_t) -> int32x4_t {
    // SAFETY: promised by the caller; touches these registers only.
    unsafe {
        asm!("sdot {acc:v}.4s, {w:v}.16b, {x:v}.4b[{lane}]", acc = inout(vreg) acc, w = in(vreg) w, x = in(vreg) x,
             lane = const LANE, options(pure, nomem, nostack, preserves_flags));
    }
    acc
}

/// [`Isa::dot_tiles`](super::Isa::dot_tiles). A function of its own: its sums do not fit the registers anyway, so that a
/// call for some hundred instructions costs nothing, and a copy in the kernel of every format would be slow to compile.
///
/// # Safety
/// The CPU has `dotprod`.
#[target_feature(enable = "neon,dotprod")]
#[inline(never)]
pub(super) unsafe fn sdot_tiles<const T: usize, const C: usize>(
    w: [&[[u8; 64]; 8]; T],
    x: [&[[i8; 4]; 8]; C],
    range: [usize; 2],
    acc: &mut [[[int32x4_t; 4]; C]; T],
) {
    // Four rows at a time, whose sums stay in registers, as do the activations of all columns.
    for g in (range[0]..range[1]).step_by(4) {
        let mut four = [vdupq_n_s8(0); C];
        // SAFETY: 16 bytes of a slice of four words.
        each!(C, c => { four[c] = unsafe { vld1q_s8(x[c][g..g + 4].as_ptr().cast()) }; });
        for (w, acc) in w.iter().zip(&mut *acc) {
            let w: &[[u8; 64]; 4] = w[g..].first_chunk().expect("four words");
            for h in 0..4 {
                let mut sums = [vdupq_n_s32(0); C];
                each!(C, c => { sums[c] = acc[c][h]; });
                let mut rows = [vdupq_n_s32(0); 4];
                // SAFETY: 16 bytes of a slice of 64 from at most 48 on.
                quads!(i => { rows[i] = words(unsafe { vld1q_u8(w[i][16 * h..].as_ptr()) }); });
                // SAFETY: promised by the caller.
                unsafe {
                    each!(C, c => { sums[c] = sdot::<0>(sums[c], rows[0], four[c]); });
                    each!(C, c => { sums[c] = sdot::<1>(sums[c], rows[1], four[c]); });
                    each!(C, c => { sums[c] = sdot::<2>(sums[c], rows[2], four[c]); });
                    each!(C, c => { sums[c] = sdot::<3>(sums[c], rows[3], four[c]); });
                }
                each!(C, c => { acc[c][h] = sums[c]; });
            }
        }
    }
}

/// The part of an `impl Isa` that is the same for every token with `dotprod`.
macro_rules! sdot_products {
    () => {
        const SIGNED_ZERO: i32 = 0;
        const WIDE_IS_CHEAP: bool = true;

        #[inline(always)]
        fn i_signed(self, w: Self::I) -> Self::I {
            w
        }
        #[inline(always)]
        fn dot<const BITS: u32, const N: usize>(self, w: &impl Words<Self>, x: &[[i8; 4]; N], init: Self::I) -> Self::I {
            const { assert!(N == 1 || N.is_multiple_of(4)) };
            let mut acc = init;
            if N == 1 {
                let x = simd!(vreinterpretq_s8_s32(vdupq_n_s32(bytemuck::cast(x[0]))));
                let w = w.word(self, 0);
                quads!(h => { acc[h] = simd!(sdot::<0>(acc[h], w[h], x)); });
                return acc;
            }
            each!(N / 4, i => {
                let g = 4 * i;
                let x = simd!(vld1q_s8(x[g..g + 4].as_ptr().cast()));
                let word = w.word(self, g);
                quads!(h => { acc[h] = simd!(sdot::<0>(acc[h], word[h], x)); });
                let word = w.word(self, g + 1);
                quads!(h => { acc[h] = simd!(sdot::<1>(acc[h], word[h], x)); });
                let word = w.word(self, g + 2);
                quads!(h => { acc[h] = simd!(sdot::<2>(acc[h], word[h], x)); });
                let word = w.word(self, g + 3);
                quads!(h => { acc[h] = simd!(sdot::<3>(acc[h], word[h], x)); });
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
            // SAFETY: a token of this kind exists only where the CPU has `dotprod`.
            unsafe { sdot_tiles(w, x, range, acc) }
        }
    };
}

pub(super) use sdot_products;
