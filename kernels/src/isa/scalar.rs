//! Portable code: sixteen lanes as arrays. The reference every other ISA must equal bit for bit.
//!
//! Its methods are functions of their own: unrolled kernels of sixteen scalars a lane operation would be megabytes of
//! code and minutes of compiling, for the one instruction set that nobody chooses for speed.

use super::{Isa, Kernel, Words};
use half::f16;

/// The portable instruction set; always available.
#[derive(Clone, Copy, Debug)]
pub struct Scalar;

#[inline(always)]
fn map2<T: Copy, U: Copy + Default>(a: [T; 16], b: [T; 16], f: impl Fn(T, T) -> U) -> [U; 16] {
    let mut out = [U::default(); 16];
    for j in 0..16 {
        out[j] = f(a[j], b[j]);
    }
    out
}

/// Each byte `t` of lane `j` replaced.
#[inline(always)]
fn bytes(a: [i32; 16], f: impl Fn(usize, usize, u8) -> u8) -> [i32; 16] {
    std::array::from_fn(|j| {
        let b = a[j].to_le_bytes();
        i32::from_le_bytes(std::array::from_fn(|t| f(j, t, b[t])))
    })
}

impl Isa for Scalar {
    type I = [i32; 16];
    type F = [f32; 16];
    const MANY: bool = false;
    const SIGNED_ZERO: i32 = 0;
    const UNROLL: bool = false;
    const WIDE_IS_CHEAP: bool = false;

    #[inline(never)]
    fn run<K: Kernel>(self, kernel: K) -> K::Out {
        kernel.call(self)
    }

    #[inline(never)]
    fn i_splat(self, v: i32) -> Self::I {
        [v; 16]
    }
    #[inline(never)]
    fn i_load(self, p: &[u8; 64]) -> Self::I {
        let mut out = [0; 16];
        for (o, b) in out.iter_mut().zip(p.as_chunks::<4>().0) {
            *o = i32::from_le_bytes(*b);
        }
        out
    }
    #[inline(never)]
    fn i_and(self, a: Self::I, b: Self::I) -> Self::I {
        map2(a, b, |a, b| a & b)
    }
    #[inline(never)]
    fn i_or(self, a: Self::I, b: Self::I) -> Self::I {
        map2(a, b, |a, b| a | b)
    }
    #[inline(never)]
    fn i_xor(self, a: Self::I, b: Self::I) -> Self::I {
        map2(a, b, |a, b| a ^ b)
    }
    #[inline(never)]
    fn i_sub(self, a: Self::I, b: Self::I) -> Self::I {
        map2(a, b, i32::wrapping_sub)
    }
    #[inline(never)]
    fn i_add(self, a: Self::I, b: Self::I) -> Self::I {
        map2(a, b, i32::wrapping_add)
    }
    #[inline(never)]
    fn i_mul(self, a: Self::I, b: Self::I) -> Self::I {
        map2(a, b, i32::wrapping_mul)
    }
    #[inline(never)]
    fn i_max(self, a: Self::I, b: Self::I) -> Self::I {
        map2(a, b, Ord::max)
    }
    #[inline(never)]
    fn i_shl(self, a: Self::I, n: u32) -> Self::I {
        a.map(|v| v << n)
    }
    #[inline(never)]
    fn i_shr(self, a: Self::I, n: u32) -> Self::I {
        a.map(|v| ((v as u32) >> n) as i32)
    }
    #[inline(never)]
    fn i_sar(self, a: Self::I, n: u32) -> Self::I {
        a.map(|v| v >> n)
    }
    #[inline(never)]
    fn i_to_f(self, a: Self::I) -> Self::F {
        a.map(|v| v as f32)
    }
    #[inline(never)]
    fn i_as_f(self, a: Self::I) -> Self::F {
        a.map(|v| f32::from_bits(v as u32))
    }
    #[inline(never)]
    fn i_sum(self, a: Self::I) -> i32 {
        a.iter().fold(0, |s, &v| s.wrapping_add(v))
    }
    #[inline(never)]
    fn i_top(self, a: Self::I) -> i32 {
        a.iter().fold(i32::MIN, |m, &v| m.max(v))
    }
    #[inline(never)]
    fn i_narrow(self, a: Self::I) -> [i8; 16] {
        a.map(|v| v as i8)
    }
    #[inline(never)]
    fn i_load_u8(self, p: &[u8; 16]) -> Self::I {
        p.map(i32::from)
    }
    #[inline(never)]
    fn i_load_i8(self, p: &[i8; 16]) -> Self::I {
        p.map(i32::from)
    }
    #[inline(never)]
    fn i_load_u16(self, p: &[u16; 16]) -> Self::I {
        p.map(i32::from)
    }
    #[inline(never)]
    fn i_half(self, a: Self::I) -> Self::F {
        a.map(|v| f16::from_bits(v as u16).to_f32_const())
    }

    #[inline(never)]
    fn b_sub(self, a: Self::I, b: Self::I) -> Self::I {
        bytes(a, |j, t, v| v.wrapping_sub(b[j].to_le_bytes()[t]))
    }
    #[inline(never)]
    fn b_lookup(self, table: &[u8; 16], index: Self::I) -> Self::I {
        bytes(index, |_, _, v| table[usize::from(v)])
    }
    #[inline(never)]
    fn b_signs(self, signs: Self::I, l: usize) -> Self::I {
        bytes(signs, |j, t, _| {
            let byte = signs[j].to_le_bytes()[l] >> t;
            (byte & 1) << 2 | (byte >> 4 & 1) << 6
        })
    }
    #[inline(never)]
    fn b_reflect(self, v: Self::I, sum: u8, signs: Self::I, g: usize) -> Self::I {
        bytes(v, |j, t, v| if signs[j] >> (4 * g + t) & 1 == 1 { sum.wrapping_sub(v) } else { v })
    }
    #[inline(never)]
    fn h_mul(self, a: Self::I, b: Self::I) -> Self::I {
        map2(a, b, |a, b| {
            let low = (a & 0xffff).wrapping_mul(b & 0xffff) & 0xffff;
            low | ((a as u32 >> 16).wrapping_mul(b as u32 >> 16) << 16) as i32
        })
    }
    #[inline(never)]
    fn h_mul_high(self, a: Self::I, b: Self::I) -> Self::I {
        map2(a, b, |a, b| {
            let (a, b) = (a as u32, b as u32);
            (((a & 0xffff) * (b & 0xffff)) >> 16 | ((a >> 16) * (b >> 16)) & 0xffff_0000) as i32
        })
    }
    #[inline(never)]
    fn i_gather<const N: usize>(self, table: &[[u8; 4]; N], index: Self::I) -> Self::I {
        const { assert!(N.is_power_of_two()) };
        index.map(|i| i32::from_le_bytes(table[i as usize & (N - 1)]))
    }

    #[inline(never)]
    fn i_transpose(self, rows: &[&[u8; 16]; 16]) -> [Self::I; 4] {
        let mut out = [[0; 16]; 4];
        for (j, row) in rows.iter().enumerate() {
            for (w, word) in row.as_chunks::<4>().0.iter().enumerate() {
                out[w][j] = i32::from_le_bytes(*word);
            }
        }
        out
    }
    #[inline(never)]
    fn i_store(self, p: &mut [u8; 64], v: Self::I) {
        for (o, v) in p.as_chunks_mut::<4>().0.iter_mut().zip(v) {
            *o = v.to_le_bytes();
        }
    }
    #[inline(never)]
    fn prefetch(self, _: *const u8) {}
    #[inline(always)]
    fn prefetch_far(self, _: *const u8) {}

    #[inline(never)]
    fn dot<const BITS: u32, const N: usize>(self, w: &impl Words<Self>, x: &[[i8; 4]; N], init: Self::I) -> Self::I {
        let mut acc = init;
        for (g, x) in x.iter().enumerate() {
            let w = w.word(self, g);
            for j in 0..16 {
                let bytes = w[j].to_le_bytes();
                for t in 0..4 {
                    let b = if BITS == 8 { i32::from(bytes[t] as i8) } else { i32::from(bytes[t]) };
                    acc[j] += b * i32::from(x[t]);
                }
            }
        }
        acc
    }

    #[inline(never)]
    fn i_signed(self, w: Self::I) -> Self::I {
        w
    }
    #[inline(never)]
    fn dot_tiles<const BITS: u32, const T: usize, const C: usize>(
        self,
        w: [&[[u8; 64]; 8]; T],
        x: [&[[i8; 4]; 8]; C],
        words: [usize; 2],
        acc: &mut [[Self::I; C]; T],
    ) {
        for g in words[0]..words[1] {
            for (w, acc) in w.iter().zip(&mut *acc) {
                let w = self.i_load(&w[g]);
                for (x, acc) in x.iter().zip(acc) {
                    *acc = self.dot::<BITS, 1>(&[w], &[x[g]], *acc);
                }
            }
        }
    }

    #[inline(never)]
    fn f_splat(self, v: f32) -> Self::F {
        [v; 16]
    }
    #[inline(never)]
    fn f_load(self, p: &[f32; 16]) -> Self::F {
        *p
    }
    #[inline(never)]
    fn f_store(self, p: &mut [f32; 16], v: Self::F) {
        *p = v;
    }
    #[inline(never)]
    fn f_load_f16(self, p: &[u16; 16]) -> Self::F {
        p.map(|b| f16::from_bits(b).to_f32_const())
    }
    #[inline(never)]
    fn f_store_f16(self, p: &mut [u16; 16], v: Self::F) {
        *p = v.map(|v| f16::from_f32_const(v).to_bits());
    }
    #[inline(never)]
    fn f_add(self, a: Self::F, b: Self::F) -> Self::F {
        map2(a, b, |a, b| a + b)
    }
    #[inline(never)]
    fn f_sub(self, a: Self::F, b: Self::F) -> Self::F {
        map2(a, b, |a, b| a - b)
    }
    #[inline(never)]
    fn f_mul(self, a: Self::F, b: Self::F) -> Self::F {
        map2(a, b, |a, b| a * b)
    }
    #[inline(never)]
    fn f_div(self, a: Self::F, b: Self::F) -> Self::F {
        map2(a, b, |a, b| a / b)
    }
    #[inline(never)]
    fn f_fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        let mut out = [0.0; 16];
        for j in 0..16 {
            out[j] = a[j].mul_add(b[j], c[j]);
        }
        out
    }
    #[inline(never)]
    fn f_max(self, a: Self::F, b: Self::F) -> Self::F {
        map2(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(never)]
    fn f_min(self, a: Self::F, b: Self::F) -> Self::F {
        map2(a, b, |a, b| if a < b { a } else { b })
    }
    #[inline(never)]
    fn f_round(self, a: Self::F) -> Self::I {
        a.map(|v| v.round_ties_even() as i32)
    }
    #[inline(never)]
    fn f_as_i(self, a: Self::F) -> Self::I {
        a.map(|v| v.to_bits() as i32)
    }
    #[inline(never)]
    fn f_sum(self, a: Self::F) -> f32 {
        let mut t = a;
        for half in [8, 4, 2, 1] {
            for j in 0..half {
                t[j] += t[j + half];
            }
        }
        t[0]
    }
    #[inline(never)]
    fn f_top(self, a: Self::F) -> f32 {
        a.iter().fold(f32::NEG_INFINITY, |m, &v| if v > m { v } else { m })
    }
}
