//! Sixteen lanes as one 512-bit register: what AVX-512 with and without VNNI has in common.

use std::arch::x86_64::{__m512, __m512i};

/// The same value, of which the compiler knows nothing.
///
/// # Safety
/// The CPU has AVX-512 F.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn hidden(mut v: __m512i) -> __m512i {
    // SAFETY: no instructions.
    unsafe { std::arch::asm!("/* {} */", inout(zmm_reg) v, options(pure, nomem, nostack, preserves_flags)) };
    v
}

/// Sixteen halves as floats. The intrinsic's instruction suppresses exceptions: that form takes no operand from memory, and
/// with one from a register it takes the port of shuffles besides.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn widen(p: &[u16; 16]) -> __m512 {
    let v;
    // SAFETY: reads the halves that `p` refers to.
    unsafe {
        std::arch::asm!("vcvtph2ps {v}, [{p}]", v = lateout(zmm_reg) v, p = in(reg) p,
            options(pure, readonly, nostack, preserves_flags));
    }
    v
}

/// The part of an `impl Isa` that is the same for every token with AVX-512 F/BW/VL/DQ, AVX2, FMA and F16C.
macro_rules! lanes512 {
    () => {
        type I = __m512i;
        type F = __m512;
        const MANY: bool = true;
        const BOOKS: bool = true;

        #[inline(always)]
        fn run<K: Kernel>(self, kernel: K) -> K::Out {
            simd!(self.frame(kernel))
        }

        #[inline(always)]
        fn i_splat(self, v: i32) -> Self::I {
            simd!(_mm512_set1_epi32(v))
        }
        #[inline(always)]
        fn i_load(self, p: &[u8; 64]) -> Self::I {
            simd!(_mm512_loadu_si512(p.as_ptr().cast()))
        }
        #[inline(always)]
        fn i_and(self, a: Self::I, b: Self::I) -> Self::I {
            simd!(_mm512_and_si512(a, b))
        }
        #[inline(always)]
        fn i_or(self, a: Self::I, b: Self::I) -> Self::I {
            simd!(_mm512_or_si512(a, b))
        }
        #[inline(always)]
        fn i_xor(self, a: Self::I, b: Self::I) -> Self::I {
            simd!(_mm512_xor_si512(a, b))
        }
        #[inline(always)]
        fn i_add(self, a: Self::I, b: Self::I) -> Self::I {
            simd!(_mm512_add_epi32(a, b))
        }
        #[inline(always)]
        fn i_sub(self, a: Self::I, b: Self::I) -> Self::I {
            simd!(_mm512_sub_epi32(a, b))
        }
        #[inline(always)]
        fn i_mul(self, a: Self::I, b: Self::I) -> Self::I {
            simd!(_mm512_mullo_epi32(a, b))
        }
        #[inline(always)]
        fn i_max(self, a: Self::I, b: Self::I) -> Self::I {
            simd!(_mm512_max_epi32(a, b))
        }
        #[inline(always)]
        fn i_shl(self, a: Self::I, n: u32) -> Self::I {
            simd!(_mm512_sllv_epi32(a, _mm512_set1_epi32(n as i32)))
        }
        #[inline(always)]
        fn i_shr(self, a: Self::I, n: u32) -> Self::I {
            simd!(_mm512_srlv_epi32(a, _mm512_set1_epi32(n as i32)))
        }
        #[inline(always)]
        fn i_sar(self, a: Self::I, n: u32) -> Self::I {
            simd!(_mm512_srav_epi32(a, _mm512_set1_epi32(n as i32)))
        }
        #[inline(always)]
        fn i_to_f(self, a: Self::I) -> Self::F {
            simd!(_mm512_cvtepi32_ps(a))
        }
        #[inline(always)]
        fn i_as_f(self, a: Self::I) -> Self::F {
            simd!(_mm512_castsi512_ps(a))
        }
        #[inline(always)]
        fn i_sum(self, a: Self::I) -> i32 {
            simd!(_mm512_reduce_add_epi32(a))
        }
        #[inline(always)]
        fn i_top(self, a: Self::I) -> i32 {
            simd!(_mm512_reduce_max_epi32(a))
        }
        #[inline(always)]
        fn i_narrow(self, a: Self::I) -> [i8; 16] {
            let mut out = [0; 16];
            simd!(_mm_storeu_si128(out.as_mut_ptr().cast(), _mm512_cvtepi32_epi8(a)));
            out
        }
        #[inline(always)]
        fn i_load_u8(self, p: &[u8; 16]) -> Self::I {
            simd!(_mm512_cvtepu8_epi32(_mm_loadu_si128(p.as_ptr().cast())))
        }
        #[inline(always)]
        fn i_load_i8(self, p: &[i8; 16]) -> Self::I {
            simd!(_mm512_cvtepi8_epi32(_mm_loadu_si128(p.as_ptr().cast())))
        }
        #[inline(always)]
        fn i_load_u16(self, p: &[u16; 16]) -> Self::I {
            simd!(_mm512_cvtepu16_epi32(_mm256_loadu_si256(p.as_ptr().cast())))
        }
        #[inline(always)]
        fn i_half(self, a: Self::I) -> Self::F {
            simd!(_mm512_cvtph_ps(_mm512_cvtepi32_epi16(a)))
        }

        #[inline(always)]
        fn b_sub(self, a: Self::I, b: Self::I) -> Self::I {
            simd!(_mm512_sub_epi8(a, b))
        }
        #[inline(always)]
        fn b_thrice(self, a: Self::I) -> Self::I {
            // Several of these, one after the other, are products of bytes by 9, 27 and 81 to the compiler, for which there
            // is no instruction: it makes four of each.
            simd!(_mm512_add_epi8($crate::isa::lanes512::hidden(_mm512_add_epi8(a, a)), a))
        }
        #[inline(always)]
        fn b_lookup(self, table: &[u8; 16], index: Self::I) -> Self::I {
            simd!({
                let table = _mm512_broadcast_i32x4(_mm_loadu_si128(table.as_ptr().cast()));
                _mm512_shuffle_epi8(table, index)
            })
        }
        #[inline(always)]
        fn b_lookup_low(self, table: &[u8; 16], index: Self::I) -> Self::I {
            self.b_lookup(table, index)
        }
        #[inline(always)]
        fn b_signs(self, v: Self::I, l: usize) -> Self::I {
            simd!({
                let words = _mm512_broadcast_i32x4(_mm_loadu_si128(signs::SHUFFLE.as_ptr().cast()));
                let words = _mm512_add_epi8(words, _mm512_set1_epi32(0x1_0001 * l as i32));
                let byte = _mm512_and_si512(_mm512_shuffle_epi8(v, words), _mm512_set1_epi32(signs::KEEP));
                _mm512_and_si512(_mm512_mullo_epi16(byte, _mm512_set1_epi32(signs::COPIES)), _mm512_set1_epi8(0x44))
            })
        }
        #[inline(always)]
        fn b_reflect(self, v: Self::I, sum: u8, signs: Self::I, g: usize) -> Self::I {
            simd!({
                // Byte g / 2 of each lane to all its bytes, of which byte t then tests bit 4 (g % 2) + t.
                let spread = _mm512_broadcast_i32x4(_mm_setr_epi32(0, 0x0404_0404, 0x0808_0808, 0x0c0c_0c0c));
                let spread = _mm512_add_epi8(spread, _mm512_set1_epi8((g / 2) as i8));
                let bits = _mm512_set1_epi32(if g % 2 == 0 { 0x0804_0201 } else { 0x8040_2010_u32 as i32 });
                let set = _mm512_test_epi8_mask(_mm512_shuffle_epi8(signs, spread), bits);
                _mm512_mask_sub_epi8(v, set, _mm512_set1_epi8(sum as i8), v)
            })
        }
        #[inline(always)]
        fn h_mul(self, a: Self::I, b: Self::I) -> Self::I {
            simd!(_mm512_mullo_epi16(a, b))
        }
        #[inline(always)]
        fn h_mul_high(self, a: Self::I, b: Self::I) -> Self::I {
            simd!(_mm512_mulhi_epu16(a, b))
        }
        #[inline(always)]
        fn i_gather<const N: usize>(self, table: &[[u8; 4]; N], index: Self::I) -> Self::I {
            const { assert!(N.is_power_of_two()) };
            let i = self.i_and(index, self.i_splat(N as i32 - 1));
            // The indices stay within the table.
            simd!(_mm512_i32gather_epi32::<4>(i, table.as_ptr().cast()))
        }

        #[inline(always)]
        fn i_entries<const N: usize, const P: usize>(
            self,
            book: &Book<N>,
            index: [Self::I; P],
        ) -> [[Self::I; 2]; P] {
            const { assert!(N.is_power_of_two() && N >= 64 && N <= 512) };
            let mut out = [[self.i_splat(0); 2]; P];
            // One branch for all.
            if N > 256 && !self.1.slow {
                each!(P, p => {
                    out[p][0] = self.i_gather(&book.words, index[p]);
                    out[p][1] = self.i_gather(&book.words, self.i_shr(index[p], 16));
                });
                return out;
            }
            each!(P, p => { out[p] = self.look_up(book, index[p]); });
            out
        }

        #[inline(always)]
        fn i_transpose(self, rows: &[&[u8; 16]; 16]) -> [Self::I; 4] {
            simd!({
                // Quarter q of register r is row 4 q + r; transposing each quarter's 4 x 4 words puts rows in order.
                let mut r = [_mm512_setzero_si512(); 4];
                for i in 0..4 {
                    let v = _mm512_castsi128_si512(_mm_loadu_si128(rows[i].as_ptr().cast()));
                    let v = _mm512_inserti32x4::<1>(v, _mm_loadu_si128(rows[4 + i].as_ptr().cast()));
                    let v = _mm512_inserti32x4::<2>(v, _mm_loadu_si128(rows[8 + i].as_ptr().cast()));
                    r[i] = _mm512_inserti32x4::<3>(v, _mm_loadu_si128(rows[12 + i].as_ptr().cast()));
                }
                let (a, b) = (_mm512_unpacklo_epi32(r[0], r[1]), _mm512_unpackhi_epi32(r[0], r[1]));
                let (c, d) = (_mm512_unpacklo_epi32(r[2], r[3]), _mm512_unpackhi_epi32(r[2], r[3]));
                [
                    _mm512_unpacklo_epi64(a, c),
                    _mm512_unpackhi_epi64(a, c),
                    _mm512_unpacklo_epi64(b, d),
                    _mm512_unpackhi_epi64(b, d),
                ]
            })
        }
        #[inline(always)]
        fn store_fours(self, p: &mut [u8; 32], v: [u64; 4]) {
            simd!({
                let v = _mm256_set_epi64x(v[3] as i64, v[2] as i64, v[1] as i64, v[0] as i64);
                _mm256_storeu_si256(p.as_mut_ptr().cast(), v);
            });
        }
        #[inline(always)]
        fn i_store(self, p: &mut [u8; 64], v: Self::I) {
            simd!(_mm512_storeu_si512(p.as_mut_ptr().cast(), v));
        }
        #[inline(always)]
        fn prefetch(self, p: *const u8) {
            simd!(_mm_prefetch::<_MM_HINT_T0>(p.cast()));
        }
        #[inline(always)]
        fn prefetch_far(self, p: *const u8) {
            simd!(_mm_prefetch::<_MM_HINT_T1>(p.cast()));
        }

        #[inline(always)]
        fn f_splat(self, v: f32) -> Self::F {
            simd!(_mm512_set1_ps(v))
        }
        #[inline(always)]
        fn f_load(self, p: &[f32; 16]) -> Self::F {
            simd!(_mm512_loadu_ps(p.as_ptr()))
        }
        #[inline(always)]
        fn f_store(self, p: &mut [f32; 16], v: Self::F) {
            simd!(_mm512_storeu_ps(p.as_mut_ptr(), v));
        }
        #[inline(always)]
        fn f_load_f16(self, p: &[u16; 16]) -> Self::F {
            simd!(super::lanes512::widen(p))
        }
        #[inline(always)]
        fn f_store_f16(self, p: &mut [u16; 16], v: Self::F) {
            simd!(_mm256_storeu_si256(
                p.as_mut_ptr().cast(),
                _mm512_cvtps_ph::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(v)
            ));
        }
        #[inline(always)]
        fn f_add(self, a: Self::F, b: Self::F) -> Self::F {
            simd!(_mm512_add_ps(a, b))
        }
        #[inline(always)]
        fn f_sub(self, a: Self::F, b: Self::F) -> Self::F {
            simd!(_mm512_sub_ps(a, b))
        }
        #[inline(always)]
        fn f_mul(self, a: Self::F, b: Self::F) -> Self::F {
            simd!(_mm512_mul_ps(a, b))
        }
        #[inline(always)]
        fn f_div(self, a: Self::F, b: Self::F) -> Self::F {
            simd!(_mm512_div_ps(a, b))
        }
        #[inline(always)]
        fn f_fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
            simd!(_mm512_fmadd_ps(a, b, c))
        }
        #[inline(always)]
        fn f_max(self, a: Self::F, b: Self::F) -> Self::F {
            simd!(_mm512_max_ps(a, b))
        }
        #[inline(always)]
        fn f_min(self, a: Self::F, b: Self::F) -> Self::F {
            simd!(_mm512_min_ps(a, b))
        }
        #[inline(always)]
        fn f_round(self, a: Self::F) -> Self::I {
            simd!(_mm512_cvt_roundps_epi32::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a))
        }
        #[inline(always)]
        fn f_as_i(self, a: Self::F) -> Self::I {
            simd!(_mm512_castps_si512(a))
        }
        #[inline(always)]
        fn f_sum(self, a: Self::F) -> f32 {
            simd!({
                let v = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps::<1>(a));
                let v = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
                let v = _mm_add_ps(v, _mm_movehl_ps(v, v));
                _mm_cvtss_f32(_mm_add_ss(v, _mm_shuffle_ps::<1>(v, v)))
            })
        }
        /// The tree of [`f_sum`](Isa::f_sum) on all of them at once: each step adds the halves of two and puts them side by
        /// side, so that sixteen registers become eight, four, two and one.
        #[inline(always)]
        fn f_sums(self, of: &[[f32; 16]; 16]) -> Self::F {
            simd!({
                let mut v = [_mm512_setzero_ps(); 16];
                each16!(i => { v[i] = self.f_load(&of[i]); });
                each!(8, i => {
                    let [a, b] = [v[2 * i], v[2 * i + 1]];
                    v[i] = _mm512_add_ps(_mm512_shuffle_f32x4::<0x44>(a, b), _mm512_shuffle_f32x4::<0xee>(a, b));
                });
                each!(4, i => {
                    let [a, b] = [v[2 * i], v[2 * i + 1]];
                    v[i] = _mm512_add_ps(_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0xdd>(a, b));
                });
                each!(2, i => {
                    let [a, b] = [v[2 * i], v[2 * i + 1]];
                    v[i] = _mm512_add_ps(_mm512_shuffle_ps::<0x44>(a, b), _mm512_shuffle_ps::<0xee>(a, b));
                });
                let [a, b] = [v[0], v[1]];
                let sums = _mm512_add_ps(_mm512_shuffle_ps::<0x88>(a, b), _mm512_shuffle_ps::<0xdd>(a, b));
                // In each quarter the sums of every fourth.
                let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
                _mm512_permutexvar_ps(order, sums)
            })
        }
        #[inline(always)]
        fn f_top(self, a: Self::F) -> f32 {
            simd!(_mm512_reduce_max_ps(a))
        }
    };
}

/// What a token of [`lanes512`] does besides.
macro_rules! look_up {
    () => {
        /// The entries that the halves of each lane number, from a table in registers.
        #[inline(always)]
        fn look_up<const N: usize>(self, book: &Book<N>, index: __m512i) -> [__m512i; 2] {
            simd!({
                // Two registers of entries at a time, by six bits of the index; the others choose among the results.
                let short: &[[u16; 32]] = book.short.as_chunks().0;
                let mut found = [index; 16];
                each!(N / 64, p => {
                    let (a, b) = (short[2 * p].as_ptr().cast(), short[2 * p + 1].as_ptr().cast());
                    found[p] = _mm512_permutex2var_epi16(_mm512_loadu_si512(a), index, _mm512_loadu_si512(b));
                });
                each!(3, level => {
                    let odd = _mm512_test_epi16_mask(index, _mm512_set1_epi16(64 << level));
                    each!(N >> (7 + level), p => {
                        found[p] = _mm512_mask_blend_epi16(odd, found[2 * p], found[2 * p + 1]);
                    });
                });
                let mut out = [index; 2];
                each!(2, h => {
                    let copies = _mm_setr_epi8(0, 1, 0, 1, 4, 5, 4, 5, 8, 9, 8, 9, 12, 13, 12, 13);
                    let copies = _mm512_broadcast_i32x4(_mm_add_epi8(copies, _mm_set1_epi8(2 * h as i8)));
                    let both = _mm512_shuffle_epi8(found[0], copies);
                    let both = _mm512_srlv_epi16(both, _mm512_set1_epi32((book.step << 16) as i32));
                    out[h] = _mm512_and_si512(both, _mm512_set1_epi32(book.mask as i32));
                    if let Some(levels) = &book.levels {
                        out[h] = self.b_lookup(levels, out[h]);
                    }
                });
                out
            })
        }
    };
}

pub(super) use {lanes512, look_up};
