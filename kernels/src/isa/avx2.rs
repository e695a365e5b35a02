//! AVX2 with FMA and F16C: sixteen lanes are two registers; byte products go through `maddubs`.

use super::lanes256::{both, lanes256, seam};
use super::x86::{room, signs, simd, token};
use super::{Isa, Kernel, Words};
use std::arch::x86_64::*;

token! {
    /// Proof that the CPU has AVX2, FMA and F16C.
    Avx2: ["avx2" "fma" "f16c"]
}

impl From<super::avxvnni::AvxVnni> for Avx2 {
    /// AVX-VNNI comes on top of the same features.
    fn from(_: super::avxvnni::AvxVnni) -> Self {
        Self(())
    }
}

/// Sums of adjacent products, as i16.
///
/// # Safety
/// The CPU has AVX2.
#[inline(always)]
unsafe fn products<const BITS: u32>(w: __m256i, x: __m256i) -> __m256i {
    // SAFETY: promised by the caller.
    unsafe {
        if BITS == 8 {
            // |w| as the unsigned factor (128 for -128), the sign moved to x: 128 * 127 * 2 fits an i16.
            _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w))
        } else {
            _mm256_maddubs_epi16(w, x)
        }
    }
}

/// The same value, at this place of the program: the compiler computes it neither with other sums nor later.
///
/// # Safety
/// The CPU has AVX.
#[inline]
#[target_feature(enable = "avx")]
unsafe fn here(mut v: __m256i) -> __m256i {
    // SAFETY: no instructions.
    unsafe { std::arch::asm!("/* {} */", inout(ymm_reg) v, options(nomem, nostack, preserves_flags)) };
    v
}

impl Avx2 {
    /// Word `g` of a tile times that of the columns, onto `pairs`; with `full` these go on to `acc`. Not in the loops of
    /// [`dot_tiles`](Isa::dot_tiles): a thousand copies of it to check took two thirds of the time that this crate's did.
    #[inline(always)]
    fn dot_word<const BITS: u32, const C: usize>(
        self,
        w: &[u8; 64],
        x: [&[[i8; 4]; 8]; C],
        g: usize,
        full: bool,
        pairs: &mut [[__m256i; 2]; C],
        acc: &mut [[__m256i; 2]; C],
    ) {
        let low = simd!(_mm256_loadu_si256(w.as_ptr().cast()));
        let high = simd!(_mm256_loadu_si256(w[32..].as_ptr().cast()));
        each!(C, c => {
            let x = simd!(_mm256_set1_epi32(bytemuck::cast(x[c][g])));
            each!(2, h => {
                let w = if h == 0 { low } else { high };
                let sum = simd!(_mm256_add_epi16(pairs[c][h], products::<BITS>(w, x)));
                if full {
                    let sum = simd!(_mm256_madd_epi16(sum, _mm256_set1_epi16(1)));
                    acc[c][h] = simd!(here(_mm256_add_epi32(acc[c][h], sum)));
                    pairs[c][h] = simd!(_mm256_setzero_si256());
                } else {
                    pairs[c][h] = simd!(here(sum));
                }
            });
        });
    }
}

impl Isa for Avx2 {
    lanes256!();
    const SIGNED_ZERO: i32 = 0;
    const WIDE_IS_CHEAP: bool = false;
    const COLUMNS: usize = 4;

    #[inline(always)]
    fn dot<const BITS: u32, const N: usize>(self, w: &impl Words<Self>, x: &[[i8; 4]; N], init: Self::I) -> Self::I {
        let mut acc = init;
        let mut pairs = simd!([_mm256_setzero_si256(); 2]);
        each!(N, g => {
            let x = simd!(_mm256_set1_epi32(bytemuck::cast(x[g])));
            let full = (g + 1).is_multiple_of(const { room(BITS) }) || g + 1 == N;
            let w = w.word(self, g);
            each!(2, h => {
                let p = simd!(products::<BITS>(w[h], x));
                pairs[h] = if g.is_multiple_of(const { room(BITS) }) { p } else { simd!(_mm256_add_epi16(pairs[h], p)) };
                if full {
                    let sums = simd!(_mm256_madd_epi16(pairs[h], _mm256_set1_epi16(1)));
                    acc[h] = simd!(_mm256_add_epi32(acc[h], sums));
                }
            });
        });
        acc
    }

    #[inline(always)]
    fn i_signed(self, w: Self::I) -> Self::I {
        w
    }

    #[inline(always)]
    fn dot_tiles<const BITS: u32, const T: usize, const C: usize>(
        self,
        w: [&[[u8; 64]; 8]; T],
        x: [&[[i8; 4]; 8]; C],
        words: [usize; 2],
        acc: &mut [[Self::I; C]; T],
    ) {
        // A tile at a time: the pair sums of four columns, two registers of weights, one of activations and one of products
        // fit the sixteen registers. Left alone the compiler takes column after column, with all weights on the stack
        // (measured on a Zen 3: Q4_0 1.38 times, Q6_K 1.43 and Q8_0 1.3 times as long).
        each!(T, t => {
            let mut pairs = [[simd!(_mm256_setzero_si256()); 2]; C];
            each!(8, g => {
                if words[0] <= g && g < words[1] {
                    let full = (g + 1).is_multiple_of(const { room(BITS) }) || g + 1 == words[1];
                    self.dot_word::<BITS, C>(&w[t][g], x, g, full, &mut pairs, &mut acc[t]);
                }
            });
        });
    }
}
