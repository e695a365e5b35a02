//! Sixteen lanes as two 256-bit registers: what AVX2 with and without VNNI has in common.

use std::arch::x86_64::__m256;

/// The same operation on both halves.
macro_rules! both {
    ($a:ident, $f:path) => {
        simd!([$f($a[0]), $f($a[1])])
    };
    ($a:ident, $b:ident, $f:path) => {
        simd!([$f($a[0], $b[0]), $f($a[1], $b[1])])
    };
}

/// [`Isa::seam`](super::Isa::seam): a fence alone lets the compiler read all of a block before it multiplies any, by way of
/// the stack (measured on a Zen 3: Q2_K took 1.6 times as long).
///
/// # Safety
/// The CPU has AVX.
#[inline]
#[target_feature(enable = "avx")]
pub(super) unsafe fn seam(mut v: [__m256; 2]) -> [__m256; 2] {
    let [a, b] = &mut v;
    // SAFETY: no instructions.
    unsafe {
        std::arch::asm!("/* {} {} */", inout(ymm_reg) * a, inout(ymm_reg) * b, options(nostack, preserves_flags))
    };
    v
}

/// The part of an `impl Isa` that is the same for every token with AVX2, FMA and F16C.
macro_rules! lanes256 {
    () => {
        type I = [__m256i; 2];
        type F = [__m256; 2];
        const MANY: bool = false;

        #[inline(always)]
        fn run<K: Kernel>(self, kernel: K) -> K::Out {
            simd!(self.frame(kernel))
        }

        #[inline(always)]
        fn i_splat(self, v: i32) -> Self::I {
            simd!([_mm256_set1_epi32(v); 2])
        }
        #[inline(always)]
        fn i_load(self, p: &[u8; 64]) -> Self::I {
            simd!([_mm256_loadu_si256(p.as_ptr().cast()), _mm256_loadu_si256(p[32..].as_ptr().cast())])
        }
        #[inline(always)]
        fn i_and(self, a: Self::I, b: Self::I) -> Self::I {
            both!(a, b, _mm256_and_si256)
        }
        #[inline(always)]
        fn i_or(self, a: Self::I, b: Self::I) -> Self::I {
            both!(a, b, _mm256_or_si256)
        }
        #[inline(always)]
        fn i_xor(self, a: Self::I, b: Self::I) -> Self::I {
            both!(a, b, _mm256_xor_si256)
        }
        #[inline(always)]
        fn i_add(self, a: Self::I, b: Self::I) -> Self::I {
            both!(a, b, _mm256_add_epi32)
        }
        #[inline(always)]
        fn i_sub(self, a: Self::I, b: Self::I) -> Self::I {
            both!(a, b, _mm256_sub_epi32)
        }
        #[inline(always)]
        fn i_mul(self, a: Self::I, b: Self::I) -> Self::I {
            both!(a, b, _mm256_mullo_epi32)
        }
        #[inline(always)]
        fn i_max(self, a: Self::I, b: Self::I) -> Self::I {
            both!(a, b, _mm256_max_epi32)
        }
        #[inline(always)]
        fn i_shl(self, a: Self::I, n: u32) -> Self::I {
            let n = simd!(_mm256_set1_epi32(n as i32));
            simd!([_mm256_sllv_epi32(a[0], n), _mm256_sllv_epi32(a[1], n)])
        }
        #[inline(always)]
        fn i_shr(self, a: Self::I, n: u32) -> Self::I {
            let n = simd!(_mm256_set1_epi32(n as i32));
            simd!([_mm256_srlv_epi32(a[0], n), _mm256_srlv_epi32(a[1], n)])
        }
        #[inline(always)]
        fn i_sar(self, a: Self::I, n: u32) -> Self::I {
            let n = simd!(_mm256_set1_epi32(n as i32));
            simd!([_mm256_srav_epi32(a[0], n), _mm256_srav_epi32(a[1], n)])
        }
        #[inline(always)]
        fn i_to_f(self, a: Self::I) -> Self::F {
            both!(a, _mm256_cvtepi32_ps)
        }
        #[inline(always)]
        fn i_as_f(self, a: Self::I) -> Self::F {
            both!(a, _mm256_castsi256_ps)
        }
        #[inline(always)]
        fn i_sum(self, a: Self::I) -> i32 {
            simd!({
                let v = _mm256_add_epi32(a[0], a[1]);
                let v = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256::<1>(v));
                let v = _mm_add_epi32(v, _mm_shuffle_epi32::<0b01_00_11_10>(v));
                _mm_cvtsi128_si32(_mm_add_epi32(v, _mm_shuffle_epi32::<0b10_11_00_01>(v)))
            })
        }
        #[inline(always)]
        fn i_top(self, a: Self::I) -> i32 {
            simd!({
                let v = _mm256_max_epi32(a[0], a[1]);
                let v = _mm_max_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256::<1>(v));
                let v = _mm_max_epi32(v, _mm_shuffle_epi32::<0b01_00_11_10>(v));
                _mm_cvtsi128_si32(_mm_max_epi32(v, _mm_shuffle_epi32::<0b10_11_00_01>(v)))
            })
        }
        #[inline(always)]
        fn i_narrow(self, a: Self::I) -> [i8; 16] {
            let mut wide = [0i32; 16];
            simd!({
                _mm256_storeu_si256(wide.as_mut_ptr().cast(), a[0]);
                _mm256_storeu_si256(wide[8..].as_mut_ptr().cast(), a[1]);
            });
            wide.map(|v| v as i8)
        }
        #[inline(always)]
        fn i_load_u8(self, p: &[u8; 16]) -> Self::I {
            simd!({
                let v = _mm_loadu_si128(p.as_ptr().cast());
                [_mm256_cvtepu8_epi32(v), _mm256_cvtepu8_epi32(_mm_srli_si128::<8>(v))]
            })
        }
        #[inline(always)]
        fn i_load_i8(self, p: &[i8; 16]) -> Self::I {
            simd!({
                let v = _mm_loadu_si128(p.as_ptr().cast());
                [_mm256_cvtepi8_epi32(v), _mm256_cvtepi8_epi32(_mm_srli_si128::<8>(v))]
            })
        }
        #[inline(always)]
        fn i_load_u16(self, p: &[u16; 16]) -> Self::I {
            simd!([
                _mm256_cvtepu16_epi32(_mm_loadu_si128(p.as_ptr().cast())),
                _mm256_cvtepu16_epi32(_mm_loadu_si128(p[8..].as_ptr().cast()))
            ])
        }
        #[inline(always)]
        fn i_half(self, a: Self::I) -> Self::F {
            simd!({
                // Packs quarters 0 2 | 1 3, then puts them in order.
                let v = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packus_epi32(a[0], a[1]));
                [_mm256_cvtph_ps(_mm256_castsi256_si128(v)), _mm256_cvtph_ps(_mm256_extracti128_si256::<1>(v))]
            })
        }

        #[inline(always)]
        fn b_sub(self, a: Self::I, b: Self::I) -> Self::I {
            both!(a, b, _mm256_sub_epi8)
        }
        #[inline(always)]
        fn b_lookup(self, table: &[u8; 16], index: Self::I) -> Self::I {
            simd!({
                let table = _mm256_broadcastsi128_si256(_mm_loadu_si128(table.as_ptr().cast()));
                [_mm256_shuffle_epi8(table, index[0]), _mm256_shuffle_epi8(table, index[1])]
            })
        }
        #[inline(always)]
        fn b_lookup_low(self, table: &[u8; 16], index: Self::I) -> Self::I {
            self.b_lookup(table, index)
        }
        #[inline(always)]
        fn b_signs(self, v: Self::I, l: usize) -> Self::I {
            simd!({
                let words = _mm256_broadcastsi128_si256(_mm_loadu_si128(signs::SHUFFLE.as_ptr().cast()));
                let words = _mm256_add_epi8(words, _mm256_set1_epi32(0x1_0001 * l as i32));
                let mut out = v;
                for h in 0..2 {
                    let byte = _mm256_and_si256(_mm256_shuffle_epi8(v[h], words), _mm256_set1_epi32(signs::KEEP));
                    let copies = _mm256_mullo_epi16(byte, _mm256_set1_epi32(signs::COPIES));
                    out[h] = _mm256_and_si256(copies, _mm256_set1_epi8(0x44));
                }
                out
            })
        }
        #[inline(always)]
        fn b_reflect(self, v: Self::I, sum: u8, signs: Self::I, g: usize) -> Self::I {
            simd!({
                // Byte g / 2 of each lane to all its bytes, of which byte t then tests bit 4 (g % 2) + t.
                let spread = _mm256_broadcastsi128_si256(_mm_setr_epi32(0, 0x0404_0404, 0x0808_0808, 0x0c0c_0c0c));
                let spread = _mm256_add_epi8(spread, _mm256_set1_epi8((g / 2) as i8));
                let bits = _mm256_set1_epi32(if g % 2 == 0 { 0x0804_0201 } else { 0x8040_2010_u32 as i32 });
                let mut out = v;
                for h in 0..2 {
                    let set = _mm256_and_si256(_mm256_shuffle_epi8(signs[h], spread), bits);
                    let other = _mm256_sub_epi8(_mm256_set1_epi8(sum as i8), v[h]);
                    out[h] = _mm256_blendv_epi8(v[h], other, _mm256_cmpeq_epi8(set, bits));
                }
                out
            })
        }
        #[inline(always)]
        fn h_mul(self, a: Self::I, b: Self::I) -> Self::I {
            both!(a, b, _mm256_mullo_epi16)
        }
        #[inline(always)]
        fn h_mul_high(self, a: Self::I, b: Self::I) -> Self::I {
            both!(a, b, _mm256_mulhi_epu16)
        }
        #[inline(always)]
        fn i_gather<const N: usize>(self, table: &[[u8; 4]; N], index: Self::I) -> Self::I {
            // Loads one by one: `vpgatherdd` is microcode on AMD's CPUs and Intel's small cores (20 cycles for eight lanes
            // on Zen), and on many others since they keep what it loads from leaking.
            const { assert!(N.is_power_of_two()) };
            let (mut out, mut at) = (index, std::ptr::from_ref(table));
            each!(2, h => {
                // What the compiler is told in these two is that the table is memory like any other, and that eight
                // lanes are there before the next are begun. Else it loads all entries of a block before it makes
                // registers of them, by way of the stack (measured: IQ3_XXS a third slower from the file).
                // SAFETY: no instructions.
                unsafe { std::arch::asm!("/* {} */", inout(reg) at, options(nostack, preserves_flags)) };
                // SAFETY: it is `table` still.
                let table = unsafe { &*at };
                let pairs: [u64; 4] = simd!(std::mem::transmute(index[h]));
                let mut e = [0; 8];
                each!(4, p => {
                    let two = pairs[p] as usize;
                    e[2 * p] = i32::from_le_bytes(table[two & (N - 1)]);
                    e[2 * p + 1] = i32::from_le_bytes(table[two >> 32 & (N - 1)]);
                });
                let mut low = simd!(_mm_setr_epi32(e[0], e[1], e[2], e[3]));
                let mut high = simd!(_mm_setr_epi32(e[4], e[5], e[6], e[7]));
                // SAFETY: no instructions.
                unsafe {
                    std::arch::asm!("/* {} {} */", inout(xmm_reg) low, inout(xmm_reg) high,
                                    options(nostack, preserves_flags));
                }
                out[h] = simd!(_mm256_set_m128i(high, low));
            });
            out
        }

        #[inline(always)]
        fn i_transpose(self, rows: &[&[u8; 16]; 16]) -> [Self::I; 4] {
            let mut out = [self.i_splat(0); 4];
            for h in 0..2 {
                simd!({
                    // Half q of register r is row 8 h + 4 q + r; see the AVX-512 file.
                    let mut r = [_mm256_setzero_si256(); 4];
                    for i in 0..4 {
                        let v = _mm256_castsi128_si256(_mm_loadu_si128(rows[8 * h + i].as_ptr().cast()));
                        let next = _mm_loadu_si128(rows[8 * h + 4 + i].as_ptr().cast());
                        r[i] = _mm256_inserti128_si256::<1>(v, next);
                    }
                    let (a, b) = (_mm256_unpacklo_epi32(r[0], r[1]), _mm256_unpackhi_epi32(r[0], r[1]));
                    let (c, d) = (_mm256_unpacklo_epi32(r[2], r[3]), _mm256_unpackhi_epi32(r[2], r[3]));
                    out[0][h] = _mm256_unpacklo_epi64(a, c);
                    out[1][h] = _mm256_unpackhi_epi64(a, c);
                    out[2][h] = _mm256_unpacklo_epi64(b, d);
                    out[3][h] = _mm256_unpackhi_epi64(b, d);
                });
            }
            out
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
            simd!({
                _mm256_storeu_si256(p.as_mut_ptr().cast(), v[0]);
                _mm256_storeu_si256(p[32..].as_mut_ptr().cast(), v[1]);
            });
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
        fn seam(self, v: Self::F) -> Self::F {
            simd!(seam(v))
        }
        #[inline(always)]
        fn f_splat(self, v: f32) -> Self::F {
            simd!([_mm256_set1_ps(v); 2])
        }
        #[inline(always)]
        fn f_load(self, p: &[f32; 16]) -> Self::F {
            simd!([_mm256_loadu_ps(p.as_ptr()), _mm256_loadu_ps(p[8..].as_ptr())])
        }
        #[inline(always)]
        fn f_store(self, p: &mut [f32; 16], v: Self::F) {
            simd!({
                _mm256_storeu_ps(p.as_mut_ptr(), v[0]);
                _mm256_storeu_ps(p[8..].as_mut_ptr(), v[1]);
            });
        }
        #[inline(always)]
        fn f_load_f16(self, p: &[u16; 16]) -> Self::F {
            simd!([
                _mm256_cvtph_ps(_mm_loadu_si128(p.as_ptr().cast())),
                _mm256_cvtph_ps(_mm_loadu_si128(p[8..].as_ptr().cast()))
            ])
        }
        #[inline(always)]
        fn f_store_f16(self, p: &mut [u16; 16], v: Self::F) {
            simd!({
                let lo = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(v[0]);
                let hi = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(v[1]);
                _mm_storeu_si128(p.as_mut_ptr().cast(), lo);
                _mm_storeu_si128(p[8..].as_mut_ptr().cast(), hi);
            });
        }
        #[inline(always)]
        fn f_add(self, a: Self::F, b: Self::F) -> Self::F {
            both!(a, b, _mm256_add_ps)
        }
        #[inline(always)]
        fn f_sub(self, a: Self::F, b: Self::F) -> Self::F {
            both!(a, b, _mm256_sub_ps)
        }
        #[inline(always)]
        fn f_mul(self, a: Self::F, b: Self::F) -> Self::F {
            both!(a, b, _mm256_mul_ps)
        }
        #[inline(always)]
        fn f_div(self, a: Self::F, b: Self::F) -> Self::F {
            both!(a, b, _mm256_div_ps)
        }
        #[inline(always)]
        fn f_fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
            simd!([_mm256_fmadd_ps(a[0], b[0], c[0]), _mm256_fmadd_ps(a[1], b[1], c[1])])
        }
        #[inline(always)]
        fn f_max(self, a: Self::F, b: Self::F) -> Self::F {
            both!(a, b, _mm256_max_ps)
        }
        #[inline(always)]
        fn f_min(self, a: Self::F, b: Self::F) -> Self::F {
            both!(a, b, _mm256_min_ps)
        }
        #[inline(always)]
        fn f_round(self, a: Self::F) -> Self::I {
            const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
            simd!([
                _mm256_cvtps_epi32(_mm256_round_ps::<NEAREST>(a[0])),
                _mm256_cvtps_epi32(_mm256_round_ps::<NEAREST>(a[1]))
            ])
        }
        #[inline(always)]
        fn f_as_i(self, a: Self::F) -> Self::I {
            both!(a, _mm256_castps_si256)
        }
        #[inline(always)]
        fn f_sum(self, a: Self::F) -> f32 {
            simd!({
                let v = _mm256_add_ps(a[0], a[1]);
                let v = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
                let v = _mm_add_ps(v, _mm_movehl_ps(v, v));
                _mm_cvtss_f32(_mm_add_ss(v, _mm_shuffle_ps::<1>(v, v)))
            })
        }
        #[inline(always)]
        fn f_top(self, a: Self::F) -> f32 {
            simd!({
                let v = _mm256_max_ps(a[0], a[1]);
                let v = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
                let v = _mm_max_ps(v, _mm_movehl_ps(v, v));
                _mm_cvtss_f32(_mm_max_ss(v, _mm_shuffle_ps::<1>(v, v)))
            })
        }
    };
}

pub(super) use {both, lanes256};
