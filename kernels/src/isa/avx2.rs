//! AVX2 with FMA and F16C: sixteen lanes are two registers; byte products go through `maddubs`.

use super::lanes256::{both, lanes256};
use super::x86::{room, signs, simd, token};
use super::{Isa, Kernel};
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

impl Isa for Avx2 {
    lanes256!();
    const SIGNED_ZERO: i32 = 0;
    const WIDE_IS_CHEAP: bool = false;

    #[inline(always)]
    fn dot<const BITS: u32, const N: usize>(self, w: &[Self::I; N], x: &[[i8; 4]; N], init: Self::I) -> Self::I {
        let mut acc = init;
        let mut pairs = simd!([_mm256_setzero_si256(); 2]);
        each!(N, g => {
            let x = simd!(_mm256_set1_epi32(bytemuck::cast(x[g])));
            let full = (g + 1).is_multiple_of(const { room(BITS) }) || g + 1 == N;
            each!(2, h => {
                let p = simd!(products::<BITS>(w[g][h], x));
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
    fn dot_pair<const BITS: u32, const C: usize>(
        self,
        w: &[[[u8; 64]; 8]; 2],
        x: [&[[i8; 4]; 8]; C],
        words: [usize; 2],
        acc: &mut [[Self::I; C]; 2],
    ) {
        // Eight rows at a time: their pair sums for all columns fit the sixteen registers.
        each!(2, t => {
            each!(2, h => {
                let mut g = words[0];
                while g < words[1] {
                    let end = words[1].min(g + const { room(BITS) });
                    let mut pairs = [simd!(_mm256_setzero_si256()); C];
                    while g < end {
                        let w = simd!(_mm256_loadu_si256(w[t][g][32 * h..].as_ptr().cast()));
                        each!(C, c => {
                            let x = simd!(_mm256_set1_epi32(bytemuck::cast(x[c][g])));
                            pairs[c] = simd!(_mm256_add_epi16(pairs[c], products::<BITS>(w, x)));
                        });
                        g += 1;
                    }
                    each!(C, c => {
                        let sum = simd!(_mm256_madd_epi16(pairs[c], _mm256_set1_epi16(1)));
                        acc[t][c][h] = simd!(_mm256_add_epi32(acc[t][c][h], sum));
                    });
                }
            });
        });
    }
}
