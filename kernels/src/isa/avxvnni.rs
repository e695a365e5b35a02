//! AVX2 with AVX-VNNI, as in CPUs without AVX-512: four byte products a lane are one instruction on 256 bits.

use super::lanes256::{both, lanes256, seam};
use super::x86::{signs, simd, token};
use super::{Isa, Kernel, Words};
use std::arch::x86_64::*;

token! {
    /// Proof that the CPU has AVX2, FMA, F16C and AVX-VNNI.
    AvxVnni: ["avx2" "fma" "f16c" "avxvnni"]
}

impl Isa for AvxVnni {
    lanes256!();
    const SIGNED_ZERO: i32 = 128;
    const WIDE_IS_CHEAP: bool = true;

    #[inline(always)]
    fn i_signed(self, w: Self::I) -> Self::I {
        // Flipping the top bit adds 128 to a signed byte and makes it unsigned.
        let top = simd!([_mm256_set1_epi8(-128); 2]);
        both!(w, top, _mm256_xor_si256)
    }
    #[inline(always)]
    fn dot<const BITS: u32, const N: usize>(self, w: &impl Words<Self>, x: &[[i8; 4]; N], init: Self::I) -> Self::I {
        let mut acc = init;
        each!(N, g => {
            let x = simd!(_mm256_set1_epi32(bytemuck::cast(x[g])));
            let w = w.word(self, g);
            acc = simd!([_mm256_dpbusd_avx_epi32(acc[0], w[0], x), _mm256_dpbusd_avx_epi32(acc[1], w[1], x)]);
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
        // Eight rows at a time: their sums for all columns fit the sixteen registers.
        each!(T, t => {
            each!(2, h => {
                let mut sums = [simd!(_mm256_setzero_si256()); C];
                each!(C, c => { sums[c] = acc[t][c][h]; });
                for g in words[0]..words[1] {
                    let w = simd!(_mm256_loadu_si256(w[t][g][32 * h..].as_ptr().cast()));
                    each!(C, c => {
                        let x = simd!(_mm256_set1_epi32(bytemuck::cast(x[c][g])));
                        sums[c] = simd!(_mm256_dpbusd_avx_epi32(sums[c], w, x));
                    });
                }
                each!(C, c => { acc[t][c][h] = sums[c]; });
            });
        });
    }
}
