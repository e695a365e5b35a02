//! AVX-512 without VNNI, as in the first CPUs that had it: byte products go through `maddubs`, as with AVX2.

use super::lanes512::{lanes512, look_up};
use super::x86::{Tables, room, signs, simd, token};
use super::{Book, Isa, Kernel, Words};
use std::arch::x86_64::*;

token! {
    /// Proof that the CPU has AVX-512 F/BW/VL/DQ (and AVX2, FMA, F16C).
    Avx512(Tables): ["avx512f" "avx512bw" "avx512vl" "avx512dq" "avx2" "fma" "f16c"]
}

impl<const TILES: bool, const BYTES: bool> From<super::avx512vnni::Avx512Vnni<TILES, BYTES>> for Avx512 {
    /// VNNI comes on top of the same features.
    fn from(s: super::avx512vnni::Avx512Vnni<TILES, BYTES>) -> Self {
        Self((), s.1)
    }
}

/// Sums of adjacent products, as i16.
///
/// # Safety
/// The CPU has AVX-512 F and BW.
#[inline(always)]
unsafe fn products<const BITS: u32>(w: __m512i, x: __m512i) -> __m512i {
    // SAFETY: promised by the caller.
    unsafe {
        if BITS == 8 {
            // |w| as the unsigned factor (128 for -128), the sign moved to x: 128 * 127 * 2 fits an i16.
            let x = _mm512_mask_sub_epi8(x, _mm512_movepi8_mask(w), _mm512_setzero_si512(), x);
            _mm512_maddubs_epi16(_mm512_abs_epi8(w), x)
        } else {
            _mm512_maddubs_epi16(w, x)
        }
    }
}

impl Avx512 {
    look_up!();
}

impl Isa for Avx512 {
    lanes512!();
    const SIGNED_ZERO: i32 = 0;
    const WIDE_IS_CHEAP: bool = false;
    // Beside sums of pairs, those of six columns do not fit (measured on a Cascade Lake: Q4_0 and Q4_K 1.2 times as fast with
    // four, Q6_K the same, Q8_0 3 % slower).
    const COLUMNS: usize = 4;

    #[inline(always)]
    fn i_signed(self, w: Self::I) -> Self::I {
        w
    }
    #[inline(always)]
    fn dot<const BITS: u32, const N: usize>(self, w: &impl Words<Self>, x: &[[i8; 4]; N], init: Self::I) -> Self::I {
        let mut acc = init;
        let mut pairs = simd!(_mm512_setzero_si512());
        each!(N, g => {
            let x = self.i_splat(bytemuck::cast(x[g]));
            let p = simd!(products::<BITS>(w.word(self, g), x));
            pairs = if g.is_multiple_of(const { room(BITS) }) { p } else { simd!(_mm512_add_epi16(pairs, p)) };
            if (g + 1).is_multiple_of(const { room(BITS) }) || g + 1 == N {
                acc = simd!(_mm512_add_epi32(acc, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1))));
            }
        });
        acc
    }
    #[inline(always)]
    fn dot_tiles<const BITS: u32, const T: usize, const C: usize>(
        self,
        w: [&[[u8; 64]; 8]; T],
        x: [&[[i8; 4]; 8]; C],
        words: [usize; 2],
        acc: &mut [[Self::I; C]; T],
    ) {
        let mut g = words[0];
        while g < words[1] {
            let end = words[1].min(g + const { room(BITS) });
            let mut pairs = [[simd!(_mm512_setzero_si512()); C]; T];
            while g < end {
                let mut word = [self.i_splat(0); T];
                each!(T, t => { word[t] = self.i_load(&w[t][g]); });
                each!(C, c => {
                    let x = self.i_splat(bytemuck::cast(x[c][g]));
                    each!(T, t => { pairs[t][c] = simd!(_mm512_add_epi16(pairs[t][c], products::<BITS>(word[t], x))); });
                });
                g += 1;
            }
            each!(T, t => {
                each!(C, c => {
                    let sum = simd!(_mm512_madd_epi16(pairs[t][c], _mm512_set1_epi16(1)));
                    acc[t][c] = simd!(_mm512_add_epi32(acc[t][c], sum));
                });
            });
        }
    }
}
