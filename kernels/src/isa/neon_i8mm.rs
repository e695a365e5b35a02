//! NEON with `i8mm`: as with `dotprod`, and an instruction that multiplies two rows of weights with two columns, eight
//! bytes each, for products of many columns.

use super::aarch64::{simd, token};
use super::lanes128::{bytes, four, lanes128, narrow, prefetch, quads, widen, words};
use super::sdot::{sdot, sdot_products, sdot_tiles};
use super::{Isa, Kernel, Words};
use std::arch::aarch64::*;
use std::arch::asm;

token! {
    /// Proof that the CPU has NEON, its dot products and its products of 8-bit matrices.
    NeonI8mm: ["neon" "dotprod" "i8mm"]
}

/// Adds the sums over step `G` of a sub-block, eight weights of each row: lane `2 r + c` of register `[i][p]` is that of row
/// `2 i + r` and column `2 p + c`. Operands are 128 bytes apart in `w` and 64 in `x`.
///
/// One `asm!` for the step, because the intrinsics are not stable in Rust 1.95, and because sums that the compiler is free
/// to move about it moves to memory.
///
/// # Safety
/// The CPU has `i8mm`; 64 bytes can be read from `w + 128 G` and from `x + 64 G`.
#[inline(always)]
unsafe fn step<const G: usize>(sums: &mut [[int32x4_t; 4]; 4], w: *const u8, x: *const u8) {
    // SAFETY: promised by the caller; reads those bytes and touches these registers, nothing else.
    unsafe {
        asm!(
            "ldp {a0:q}, {a1:q}, [{w}, #128 * {g}]",
            "ldp {b0:q}, {b1:q}, [{x}, #64 * {g}]",
            "ldp {b2:q}, {b3:q}, [{x}, #64 * {g} + 32]",
            "ldp {a2:q}, {a3:q}, [{w}, #128 * {g} + 32]",
            "smmla {s00:v}.4s, {a0:v}.16b, {b0:v}.16b",
            "smmla {s01:v}.4s, {a0:v}.16b, {b1:v}.16b",
            "smmla {s02:v}.4s, {a0:v}.16b, {b2:v}.16b",
            "smmla {s03:v}.4s, {a0:v}.16b, {b3:v}.16b",
            "smmla {s10:v}.4s, {a1:v}.16b, {b0:v}.16b",
            "smmla {s11:v}.4s, {a1:v}.16b, {b1:v}.16b",
            "smmla {s12:v}.4s, {a1:v}.16b, {b2:v}.16b",
            "smmla {s13:v}.4s, {a1:v}.16b, {b3:v}.16b",
            "smmla {s20:v}.4s, {a2:v}.16b, {b0:v}.16b",
            "smmla {s21:v}.4s, {a2:v}.16b, {b1:v}.16b",
            "smmla {s22:v}.4s, {a2:v}.16b, {b2:v}.16b",
            "smmla {s23:v}.4s, {a2:v}.16b, {b3:v}.16b",
            "smmla {s30:v}.4s, {a3:v}.16b, {b0:v}.16b",
            "smmla {s31:v}.4s, {a3:v}.16b, {b1:v}.16b",
            "smmla {s32:v}.4s, {a3:v}.16b, {b2:v}.16b",
            "smmla {s33:v}.4s, {a3:v}.16b, {b3:v}.16b",
            w = in(reg) w, x = in(reg) x, g = const G,
            a0 = out(vreg) _, a1 = out(vreg) _, a2 = out(vreg) _, a3 = out(vreg) _,
            b0 = out(vreg) _, b1 = out(vreg) _, b2 = out(vreg) _, b3 = out(vreg) _,
            s00 = inout(vreg) sums[0][0], s01 = inout(vreg) sums[0][1], s02 = inout(vreg) sums[0][2], s03 = inout(vreg) sums[0][3],
            s10 = inout(vreg) sums[1][0], s11 = inout(vreg) sums[1][1], s12 = inout(vreg) sums[1][2], s13 = inout(vreg) sums[1][3],
            s20 = inout(vreg) sums[2][0], s21 = inout(vreg) sums[2][1], s22 = inout(vreg) sums[2][2], s23 = inout(vreg) sums[2][3],
            s30 = inout(vreg) sums[3][0], s31 = inout(vreg) sums[3][1], s32 = inout(vreg) sums[3][2], s33 = inout(vreg) sums[3][3],
            options(pure, readonly, nostack, preserves_flags)
        );
    }
}

impl Isa for NeonI8mm {
    lanes128!();
    sdot_products!();
    const PAIRS: bool = true;

    #[inline(always)]
    fn i_tiles(self, w: Self::I, zero: i32) -> Self::I {
        self.b_sub(w, self.i_splat(zero * 0x0101_0101))
    }
    #[inline(always)]
    fn pairs_weights(self, a: Self::I, b: Self::I) -> [Self::I; 2] {
        simd!([
            [vzip1q_s32(a[0], b[0]), vzip2q_s32(a[0], b[0]), vzip1q_s32(a[1], b[1]), vzip2q_s32(a[1], b[1])],
            [vzip1q_s32(a[2], b[2]), vzip2q_s32(a[2], b[2]), vzip1q_s32(a[3], b[3]), vzip2q_s32(a[3], b[3])],
        ])
    }
    #[inline(always)]
    fn pairs_sums<const FROM: usize, const TO: usize>(
        self,
        w: &[[u8; 64]; 8],
        h: usize,
        x: &[[u8; 64]; 4],
    ) -> [Self::I; 4] {
        // Sixteen registers of sums, and four rows and four columns of operands: 16 products for four loads.
        const { assert!(FROM < TO && TO <= 4) };
        assert!(h < 2);
        let mut sums = [self.i_splat(0); 4];
        let (w, x) = (w.as_ptr().cast::<u8>().wrapping_add(64 * h), x.as_ptr().cast());
        // Steps 0 to 3 read words h, 2 + h, 4 + h and 6 + h of eight, and the four of x.
        simd!({
            if FROM == 0 {
                step::<0>(&mut sums, w, x);
            }
            if FROM <= 1 && TO > 1 {
                step::<1>(&mut sums, w, x);
            }
            if FROM <= 2 && TO > 2 {
                step::<2>(&mut sums, w, x);
            }
            if TO > 3 {
                step::<3>(&mut sums, w, x);
            }
        });
        sums
    }
    #[inline(always)]
    fn pairs_rows(self, v: &[f32; 8]) -> [Self::F; 4] {
        simd!({
            let (a, b) = (vld1q_f32(v.as_ptr()), vld1q_f32(v[4..].as_ptr()));
            [[vzip1q_f32(a, a); 4], [vzip2q_f32(a, a); 4], [vzip1q_f32(b, b); 4], [vzip2q_f32(b, b); 4]]
        })
    }
    #[inline(always)]
    fn pairs_split(self, v: [Self::F; 2]) -> [Self::F; 2] {
        let mut out = v;
        quads!(p => { (out[0][p], out[1][p]) = simd!((vuzp1q_f32(v[0][p], v[1][p]), vuzp2q_f32(v[0][p], v[1][p]))); });
        out
    }
    #[inline(always)]
    fn pairs_join(self, v: [Self::F; 2]) -> [Self::F; 2] {
        let mut out = v;
        quads!(p => { (out[0][p], out[1][p]) = simd!((vzip1q_f32(v[0][p], v[1][p]), vzip2q_f32(v[0][p], v[1][p]))); });
        out
    }
}
