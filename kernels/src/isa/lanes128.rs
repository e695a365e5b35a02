//! Sixteen lanes as four 128-bit registers: what all aarch64 instruction sets have in common.
//!
//! Where the architecture's own instruction would differ from the contract it is not used: `fmax` and `fmin` order zeros
//! and pass NaNs on, so the larger and the smaller are selected by a comparison.

use std::arch::aarch64::*;
use std::arch::asm;

/// The same operation on all four registers.
macro_rules! four {
    ($a:ident, $f:path) => {
        simd!([$f($a[0]), $f($a[1]), $f($a[2]), $f($a[3])])
    };
    ($a:ident, $b:ident, $f:path) => {
        simd!([$f($a[0], $b[0]), $f($a[1], $b[1]), $f($a[2], $b[2]), $f($a[3], $b[3])])
    };
}

/// A block for each of the four registers, with a literal index.
macro_rules! quads {
    ($h:ident => $body:block) => {
        quads!(@ $h, $body, 0 1 2 3)
    };
    (@ $h:ident, $body:block, $($k:literal)*) => {
        $({
            let $h: usize = $k;
            $body
        })*
    };
}

/// Widens four halfs. The intrinsics with halfs in their signatures are newer than the oldest compiler supported.
///
/// # Safety
/// The CPU has NEON.
#[inline(always)]
pub(super) unsafe fn widen(v: uint16x4_t) -> float32x4_t {
    let out;
    // SAFETY: part of NEON, which is promised by the caller; touches these registers only.
    unsafe {
        asm!("fcvtl {o:v}.4s, {v:v}.4h", o = lateout(vreg) out, v = in(vreg) v,
             options(pure, nomem, nostack, preserves_flags));
    }
    out
}

/// Narrows to four halfs, round to nearest even.
///
/// # Safety
/// The CPU has NEON.
#[inline(always)]
pub(super) unsafe fn narrow(v: float32x4_t) -> uint16x4_t {
    let out;
    // SAFETY: as for `widen`; the rounding mode is the one that every program starts with.
    unsafe {
        asm!("fcvtn {o:v}.4h, {v:v}.4s", o = lateout(vreg) out, v = in(vreg) v,
             options(pure, nomem, nostack, preserves_flags));
    }
    out
}

/// Asks for the cache line at an address: into the nearest cache with `NEAR`, else into the second.
#[inline(always)]
pub(super) fn prefetch<const NEAR: bool>(p: *const u8) {
    // SAFETY: part of the baseline of this architecture; a hint, which faults at no address and changes nothing.
    unsafe {
        if NEAR {
            asm!("prfm pldl1keep, [{p}]", p = in(reg) p, options(readonly, nostack, preserves_flags));
        } else {
            asm!("prfm pldl2keep, [{p}]", p = in(reg) p, options(readonly, nostack, preserves_flags));
        }
    }
}

/// The same for a line that will be written.
#[inline(always)]
pub(super) fn prefetch_write(p: *const u8) {
    // SAFETY: as above.
    unsafe { asm!("prfm pstl1keep, [{p}]", p = in(reg) p, options(readonly, nostack, preserves_flags)) }
}

/// Bytes of a register, in place.
#[inline(always)]
pub(super) fn bytes(v: int32x4_t) -> uint8x16_t {
    // SAFETY: the same bits by another name; NEON is part of the baseline of this architecture.
    unsafe { vreinterpretq_u8_s32(v) }
}

/// The reverse of [`bytes`].
#[inline(always)]
pub(super) fn words(v: uint8x16_t) -> int32x4_t {
    // SAFETY: as for `bytes`.
    unsafe { vreinterpretq_s32_u8(v) }
}

/// The part of an `impl Isa` that is the same for every token with NEON.
macro_rules! lanes128 {
    () => {
        type I = [int32x4_t; 4];
        type F = [float32x4_t; 4];
        const MANY: bool = false;

        #[inline(always)]
        fn run<K: Kernel>(self, kernel: K) -> K::Out {
            simd!(self.frame(kernel))
        }

        #[inline(always)]
        fn i_splat(self, v: i32) -> Self::I {
            simd!([vdupq_n_s32(v); 4])
        }
        #[inline(always)]
        fn i_load(self, p: &[u8; 64]) -> Self::I {
            let mut out = self.i_splat(0);
            quads!(h => { out[h] = words(simd!(vld1q_u8(p[16 * h..].as_ptr()))); });
            out
        }
        #[inline(always)]
        fn i_and(self, a: Self::I, b: Self::I) -> Self::I {
            four!(a, b, vandq_s32)
        }
        #[inline(always)]
        fn i_or(self, a: Self::I, b: Self::I) -> Self::I {
            four!(a, b, vorrq_s32)
        }
        #[inline(always)]
        fn i_xor(self, a: Self::I, b: Self::I) -> Self::I {
            four!(a, b, veorq_s32)
        }
        #[inline(always)]
        fn i_add(self, a: Self::I, b: Self::I) -> Self::I {
            four!(a, b, vaddq_s32)
        }
        #[inline(always)]
        fn i_sub(self, a: Self::I, b: Self::I) -> Self::I {
            four!(a, b, vsubq_s32)
        }
        #[inline(always)]
        fn i_mul(self, a: Self::I, b: Self::I) -> Self::I {
            four!(a, b, vmulq_s32)
        }
        #[inline(always)]
        fn i_max(self, a: Self::I, b: Self::I) -> Self::I {
            four!(a, b, vmaxq_s32)
        }
        #[inline(always)]
        fn i_shl(self, a: Self::I, n: u32) -> Self::I {
            let n = self.i_splat(n as i32);
            four!(a, n, vshlq_s32)
        }
        #[inline(always)]
        fn i_shr(self, a: Self::I, n: u32) -> Self::I {
            // A shift to the right is one to the left by a negative number.
            let n = self.i_splat(-(n as i32));
            let mut out = a;
            quads!(h => {
                out[h] = simd!(vreinterpretq_s32_u32(vshlq_u32(vreinterpretq_u32_s32(a[h]), n[h])));
            });
            out
        }
        #[inline(always)]
        fn i_sar(self, a: Self::I, n: u32) -> Self::I {
            let n = self.i_splat(-(n as i32));
            four!(a, n, vshlq_s32)
        }
        #[inline(always)]
        fn i_to_f(self, a: Self::I) -> Self::F {
            four!(a, vcvtq_f32_s32)
        }
        #[inline(always)]
        fn i_as_f(self, a: Self::I) -> Self::F {
            four!(a, vreinterpretq_f32_s32)
        }
        #[inline(always)]
        fn i_sum(self, a: Self::I) -> i32 {
            simd!(vaddvq_s32(vaddq_s32(vaddq_s32(a[0], a[1]), vaddq_s32(a[2], a[3]))))
        }
        #[inline(always)]
        fn i_top(self, a: Self::I) -> i32 {
            simd!(vmaxvq_s32(vmaxq_s32(vmaxq_s32(a[0], a[1]), vmaxq_s32(a[2], a[3]))))
        }
        #[inline(always)]
        fn i_narrow(self, a: Self::I) -> [i8; 16] {
            let mut out = [0; 16];
            simd!({
                let low = vcombine_s16(vmovn_s32(a[0]), vmovn_s32(a[1]));
                let high = vcombine_s16(vmovn_s32(a[2]), vmovn_s32(a[3]));
                vst1q_s8(out.as_mut_ptr(), vcombine_s8(vmovn_s16(low), vmovn_s16(high)));
            });
            out
        }
        #[inline(always)]
        fn i_load_u8(self, p: &[u8; 16]) -> Self::I {
            simd!({
                let v = vld1q_u8(p.as_ptr());
                let (low, high) = (vmovl_u8(vget_low_u8(v)), vmovl_u8(vget_high_u8(v)));
                [
                    vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(low))),
                    vreinterpretq_s32_u32(vmovl_u16(vget_high_u16(low))),
                    vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(high))),
                    vreinterpretq_s32_u32(vmovl_u16(vget_high_u16(high))),
                ]
            })
        }
        #[inline(always)]
        fn i_load_i8(self, p: &[i8; 16]) -> Self::I {
            simd!({
                let v = vld1q_s8(p.as_ptr());
                let (low, high) = (vmovl_s8(vget_low_s8(v)), vmovl_s8(vget_high_s8(v)));
                [
                    vmovl_s16(vget_low_s16(low)),
                    vmovl_s16(vget_high_s16(low)),
                    vmovl_s16(vget_low_s16(high)),
                    vmovl_s16(vget_high_s16(high)),
                ]
            })
        }
        #[inline(always)]
        fn i_load_u16(self, p: &[u16; 16]) -> Self::I {
            let mut out = self.i_splat(0);
            quads!(h => {
                out[h] = simd!(vreinterpretq_s32_u32(vmovl_u16(vld1_u16(p[4 * h..].as_ptr()))));
            });
            out
        }
        #[inline(always)]
        fn i_half(self, a: Self::I) -> Self::F {
            let mut out = self.f_splat(0.0);
            quads!(h => { out[h] = simd!(widen(vmovn_u32(vreinterpretq_u32_s32(a[h])))); });
            out
        }

        #[inline(always)]
        fn b_sub(self, a: Self::I, b: Self::I) -> Self::I {
            let mut out = a;
            quads!(h => { out[h] = words(simd!(vsubq_u8(bytes(a[h]), bytes(b[h])))); });
            out
        }
        #[inline(always)]
        fn b_lookup(self, table: &[u8; 16], index: Self::I) -> Self::I {
            let table = simd!(vld1q_u8(table.as_ptr()));
            let mut out = index;
            quads!(h => { out[h] = words(simd!(vqtbl1q_u8(table, bytes(index[h])))); });
            out
        }
        #[inline(always)]
        fn b_signs(self, signs: Self::I, l: usize) -> Self::I {
            const LANES: [u8; 16] = [0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12];
            let mut out = signs;
            simd!({
                // The byte to all bytes of its lane, of which byte t moves up by 2 - t.
                let spread = vaddq_u8(vld1q_u8(LANES.as_ptr()), vdupq_n_u8(l as u8));
                let up = vreinterpretq_s8_s32(vdupq_n_s32(0xff00_0102_u32 as i32));
                quads!(h => {
                    let bits = vshlq_u8(vqtbl1q_u8(bytes(signs[h]), spread), up);
                    out[h] = words(vandq_u8(bits, vdupq_n_u8(0x44)));
                });
            });
            out
        }
        #[inline(always)]
        fn b_reflect(self, v: Self::I, sum: u8, signs: Self::I, g: usize) -> Self::I {
            // Byte g / 2 of each lane to all its bytes, of which byte t then tests bit 4 (g % 2) + t.
            const LANES: [u8; 16] = [0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12];
            let mut out = v;
            simd!({
                let spread = vaddq_u8(vld1q_u8(LANES.as_ptr()), vdupq_n_u8((g / 2) as u8));
                let bits = bytes(vdupq_n_s32(if g % 2 == 0 { 0x0804_0201 } else { 0x8040_2010_u32 as i32 }));
                quads!(h => {
                    let set = vtstq_u8(vqtbl1q_u8(bytes(signs[h]), spread), bits);
                    let other = vsubq_u8(vdupq_n_u8(sum), bytes(v[h]));
                    out[h] = words(vbslq_u8(set, other, bytes(v[h])));
                });
            });
            out
        }
        #[inline(always)]
        fn h_mul(self, a: Self::I, b: Self::I) -> Self::I {
            let mut out = a;
            quads!(h => {
                out[h] = simd!(vreinterpretq_s32_u16(vmulq_u16(
                    vreinterpretq_u16_s32(a[h]),
                    vreinterpretq_u16_s32(b[h])
                )));
            });
            out
        }
        #[inline(always)]
        fn h_mul_high(self, a: Self::I, b: Self::I) -> Self::I {
            let mut out = a;
            quads!(h => {
                simd!({
                    let (a, b) = (vreinterpretq_u16_s32(a[h]), vreinterpretq_u16_s32(b[h]));
                    let low = vreinterpretq_u16_u32(vmull_u16(vget_low_u16(a), vget_low_u16(b)));
                    let high = vreinterpretq_u16_u32(vmull_high_u16(a, b));
                    out[h] = vreinterpretq_s32_u16(vuzp2q_u16(low, high));
                });
            });
            out
        }
        #[inline(always)]
        fn i_gather<const N: usize>(self, table: &[[u8; 4]; N], index: Self::I) -> Self::I {
            const { assert!(N.is_power_of_two()) };
            let (mut at, mut entries) = ([0; 64], [0; 64]);
            self.i_store(&mut at, self.i_and(index, self.i_splat(N as i32 - 1)));
            let (at, out) = (at.as_chunks::<4>().0, entries.as_chunks_mut::<4>().0);
            each16!(j => { out[j] = table[u32::from_le_bytes(at[j]) as usize & (N - 1)]; });
            self.i_load(&entries)
        }

        #[inline(always)]
        fn i_transpose(self, rows: &[&[u8; 16]; 16]) -> [Self::I; 4] {
            let mut out = [self.i_splat(0); 4];
            quads!(h => {
                simd!({
                    let (a, b) = (words(vld1q_u8(rows[4 * h].as_ptr())), words(vld1q_u8(rows[4 * h + 1].as_ptr())));
                    let (c, d) = (words(vld1q_u8(rows[4 * h + 2].as_ptr())), words(vld1q_u8(rows[4 * h + 3].as_ptr())));
                    // Words 0 and 2, then 1 and 3, of two rows side by side.
                    let (ab, cd) = (
                        [vreinterpretq_s64_s32(vtrn1q_s32(a, b)), vreinterpretq_s64_s32(vtrn2q_s32(a, b))],
                        [vreinterpretq_s64_s32(vtrn1q_s32(c, d)), vreinterpretq_s64_s32(vtrn2q_s32(c, d))],
                    );
                    out[0][h] = vreinterpretq_s32_s64(vtrn1q_s64(ab[0], cd[0]));
                    out[1][h] = vreinterpretq_s32_s64(vtrn1q_s64(ab[1], cd[1]));
                    out[2][h] = vreinterpretq_s32_s64(vtrn2q_s64(ab[0], cd[0]));
                    out[3][h] = vreinterpretq_s32_s64(vtrn2q_s64(ab[1], cd[1]));
                });
            });
            out
        }
        #[inline(always)]
        fn i_store(self, p: &mut [u8; 64], v: Self::I) {
            quads!(h => { simd!(vst1q_u8(p[16 * h..].as_mut_ptr(), bytes(v[h]))); });
        }
        #[inline(always)]
        fn prefetch(self, p: *const u8) {
            prefetch::<true>(p);
        }
        #[inline(always)]
        fn prefetch_far(self, p: *const u8) {
            prefetch::<false>(p);
        }

        #[inline(always)]
        fn f_splat(self, v: f32) -> Self::F {
            simd!([vdupq_n_f32(v); 4])
        }
        #[inline(always)]
        fn f_load(self, p: &[f32; 16]) -> Self::F {
            let mut out = self.f_splat(0.0);
            quads!(h => { out[h] = simd!(vld1q_f32(p[4 * h..].as_ptr())); });
            out
        }
        #[inline(always)]
        fn f_store(self, p: &mut [f32; 16], v: Self::F) {
            quads!(h => { simd!(vst1q_f32(p[4 * h..].as_mut_ptr(), v[h])); });
        }
        #[inline(always)]
        fn f_load_f16(self, p: &[u16; 16]) -> Self::F {
            let mut out = self.f_splat(0.0);
            quads!(h => { out[h] = simd!(widen(vld1_u16(p[4 * h..].as_ptr()))); });
            out
        }
        #[inline(always)]
        fn f_store_f16(self, p: &mut [u16; 16], v: Self::F) {
            quads!(h => { simd!(vst1_u16(p[4 * h..].as_mut_ptr(), narrow(v[h]))); });
        }
        #[inline(always)]
        fn f_add(self, a: Self::F, b: Self::F) -> Self::F {
            four!(a, b, vaddq_f32)
        }
        #[inline(always)]
        fn f_sub(self, a: Self::F, b: Self::F) -> Self::F {
            four!(a, b, vsubq_f32)
        }
        #[inline(always)]
        fn f_mul(self, a: Self::F, b: Self::F) -> Self::F {
            four!(a, b, vmulq_f32)
        }
        #[inline(always)]
        fn f_div(self, a: Self::F, b: Self::F) -> Self::F {
            four!(a, b, vdivq_f32)
        }
        #[inline(always)]
        fn f_fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
            let mut out = c;
            quads!(h => { out[h] = simd!(vfmaq_f32(c[h], a[h], b[h])); });
            out
        }
        #[inline(always)]
        fn f_max(self, a: Self::F, b: Self::F) -> Self::F {
            let mut out = a;
            quads!(h => { out[h] = simd!(vbslq_f32(vcgtq_f32(a[h], b[h]), a[h], b[h])); });
            out
        }
        #[inline(always)]
        fn f_min(self, a: Self::F, b: Self::F) -> Self::F {
            let mut out = a;
            quads!(h => { out[h] = simd!(vbslq_f32(vcltq_f32(a[h], b[h]), a[h], b[h])); });
            out
        }
        #[inline(always)]
        fn f_round(self, a: Self::F) -> Self::I {
            four!(a, vcvtnq_s32_f32)
        }
        #[inline(always)]
        fn f_as_i(self, a: Self::F) -> Self::I {
            four!(a, vreinterpretq_s32_f32)
        }
        #[inline(always)]
        fn f_sum(self, a: Self::F) -> f32 {
            simd!({
                let v = vaddq_f32(vaddq_f32(a[0], a[2]), vaddq_f32(a[1], a[3]));
                let v = vadd_f32(vget_low_f32(v), vget_high_f32(v));
                vget_lane_f32::<0>(v) + vget_lane_f32::<1>(v)
            })
        }
        #[inline(always)]
        fn f_top(self, a: Self::F) -> f32 {
            simd!(vmaxnmvq_f32(vmaxnmq_f32(vmaxnmq_f32(a[0], a[1]), vmaxnmq_f32(a[2], a[3]))))
        }
    };
}

pub(super) use {four, lanes128, quads};
