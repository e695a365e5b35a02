//! Elementary functions over lanes: one polynomial each, the same bits on every ISA; never the platform's libm.

use crate::isa::Isa;

/// `e^x` in every lane; relative error below 2 ulp. Below about -103.97 the result is 0, above 88.72 it is +inf; of
/// a NaN it is a NaN.
///
/// `x = n ln 2 + r` with `|r| <= ln 2 / 2` (Cody and Waite, ln 2 in two parts), a degree-7 polynomial in `r`, and
/// `2^n` applied in two steps so that results below the normal range round once.
#[inline(always)]
pub fn exp<S: Isa>(s: S, x: S::F) -> S::F {
    // In this order a NaN comes through (see `f_min`): it must end as an error, not as a number.
    let x = s.f_min(s.f_splat(89.0), x);
    let x = s.f_max(s.f_splat(-105.0), x);
    let (e, n) = reduced(s, x);
    let e = s.f_add(e, s.f_splat(1.0));
    let half = s.i_sar(n, 1);
    let rest = s.i_sub(n, half);
    s.f_mul(s.f_mul(e, pow2(s, half)), pow2(s, rest))
}

/// `e^x - 1` in every lane, for `x <= 0` (of greater ones it is that of 0), with a relative error of a few ulp also near 0;
/// of a NaN it is a NaN.
///
/// `2^n (e^r - 1) + (2^n - 1)`, whose second part is exact; nothing is left of the first below -30.
#[inline(always)]
pub fn exp_m1<S: Isa>(s: S, x: S::F) -> S::F {
    // In this order a NaN comes through (see `f_min`).
    let x = s.f_min(s.f_splat(0.0), x);
    let x = s.f_max(s.f_splat(-30.0), x);
    let (e, n) = reduced(s, x);
    let scale = pow2(s, n);
    s.f_fma(e, scale, s.f_sub(scale, s.f_splat(1.0)))
}

/// `e^r - 1` and `n`, where `x = n ln 2 + r`.
#[inline(always)]
fn reduced<S: Isa>(s: S, x: S::F) -> (S::F, S::I) {
    const LN2_HI: f32 = 0.693_359_4;
    const LN2_LO: f32 = -2.121_944_4e-4;
    // Adding 1.5 * 2^23 leaves the nearest integer in the low mantissa bits.
    const MAGIC: f32 = 12_582_912.0;
    // Taylor coefficients 1/k!; on |r| < 0.35 the truncated tail is below half an ulp.
    const C: [f32; 6] = [1.0 / 5040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5];
    let shifted = s.f_fma(x, s.f_splat(std::f32::consts::LOG2_E), s.f_splat(MAGIC));
    let n = s.f_sub(shifted, s.f_splat(MAGIC));
    let r = s.f_fma(n, s.f_splat(-LN2_HI), x);
    let r = s.f_fma(n, s.f_splat(-LN2_LO), r);
    let mut p = s.f_splat(C[0]);
    for c in &C[1..] {
        p = s.f_fma(p, r, s.f_splat(*c));
    }
    // e^r - 1 = r + r^2 p
    (s.f_fma(s.f_mul(r, r), p, r), s.f_round(n))
}

/// `2^k` in every lane, for `k` in -126..=127.
#[inline(always)]
fn pow2<S: Isa>(s: S, k: S::I) -> S::F {
    s.i_as_f(s.i_shl(s.i_add(k, s.i_splat(127)), 23))
}

/// `tanh x = 1 - 2 / (e^(2 x) + 1)` in every lane, with an absolute error of about 1e-7: near 0 that is no small part of
/// the value, which does not matter where it bounds scores. Of a NaN it is a NaN.
#[inline(always)]
pub fn tanh<S: Isa>(s: S, x: S::F) -> S::F {
    let e = exp(s, s.f_add(x, x));
    s.f_sub(s.f_splat(1.0), s.f_div(s.f_splat(2.0), s.f_add(e, s.f_splat(1.0))))
}

/// `ln(1 + e^x)` in every lane, with a relative error of a few ulp; of a NaN it is a NaN.
///
/// `max(x, 0) + ln(1 + t)` with `t = e^-|x|`, and `ln(1 + t) = 2 artanh(t / (2 + t))`, whose series converges by the ninth
/// part from one term to the next.
#[inline(always)]
pub fn softplus<S: Isa>(s: S, x: S::F) -> S::F {
    // The coefficients of artanh are 1 / (2 k + 1); what is cut off is below a quarter of an ulp.
    const C: [f32; 7] = [1.0 / 15.0, 1.0 / 13.0, 1.0 / 11.0, 1.0 / 9.0, 1.0 / 7.0, 1.0 / 5.0, 1.0 / 3.0];
    let zero = s.f_splat(0.0);
    let t = exp(s, s.f_min(s.f_sub(zero, x), x));
    let z = s.f_div(t, s.f_add(t, s.f_splat(2.0)));
    let square = s.f_mul(z, z);
    let mut p = s.f_splat(C[0]);
    for c in &C[1..] {
        p = s.f_fma(p, square, s.f_splat(*c));
    }
    let half = s.f_fma(s.f_mul(z, square), p, z);
    s.f_add(s.f_max(x, zero), s.f_add(half, half))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::{CpuIsa, Kernel};

    struct Exp([f32; 16]);
    impl Kernel for Exp {
        type Out = [f32; 16];
        #[inline(always)]
        fn call<S: Isa>(self, s: S) -> [f32; 16] {
            let mut out = [f32::NAN; 16];
            s.f_store(&mut out, exp(s, s.f_load(&self.0)));
            out
        }
    }

    #[test]
    fn exp_is_close_to_f64_and_equal_on_every_isa() {
        let mut worst = 0.0f64;
        for block in 0..4000 {
            let x: [f32; 16] = std::array::from_fn(|j| -88.0 + (block * 16 + j) as f32 * (176.0 / 64000.0));
            let outs: Vec<_> = CpuIsa::available().iter().map(|i| i.run(Exp(x)).map(f32::to_bits)).collect();
            assert!(outs.iter().all(|o| *o == outs[0]));
            for (x, y) in x.iter().zip(outs[0]) {
                let exact = libm::exp(f64::from(*x));
                worst = worst.max((f64::from(f32::from_bits(y)) / exact - 1.0).abs());
            }
        }
        assert!(worst < 2.0 / 8_388_608.0, "{worst:e}");
    }

    struct Tanh([f32; 16]);
    impl Kernel for Tanh {
        type Out = [f32; 16];
        #[inline(always)]
        fn call<S: Isa>(self, s: S) -> [f32; 16] {
            let mut out = [f32::NAN; 16];
            s.f_store(&mut out, tanh(s, s.f_load(&self.0)));
            out
        }
    }

    #[test]
    fn tanh_is_close_to_f64_and_equal_on_every_isa() {
        for block in 0..1000 {
            let x: [f32; 16] = std::array::from_fn(|j| (block as f32 - 500.0) * 0.02 + j as f32 * 0.00125);
            let outs: Vec<_> = CpuIsa::available().iter().map(|i| i.run(Tanh(x)).map(f32::to_bits)).collect();
            assert!(outs.iter().all(|o| *o == outs[0]));
            for (x, y) in x.iter().zip(outs[0]) {
                let err = (f64::from(f32::from_bits(y)) - libm::tanh(f64::from(*x))).abs();
                assert!(err < 2e-7, "tanh {x}: {err:e}");
            }
        }
        let edges = [0.0, f32::INFINITY, f32::NEG_INFINITY, 200.0, -200.0];
        let x: [f32; 16] = std::array::from_fn(|i| edges.get(i).copied().unwrap_or(f32::NAN));
        for isa in CpuIsa::available() {
            let y = isa.run(Tanh(x));
            assert_eq!(y[..5], [0.0, 1.0, -1.0, 1.0, -1.0]);
            assert!(y[5].is_nan());
        }
    }

    struct ExpM1([f32; 16]);
    impl Kernel for ExpM1 {
        type Out = [f32; 16];
        #[inline(always)]
        fn call<S: Isa>(self, s: S) -> [f32; 16] {
            let mut out = [f32::NAN; 16];
            s.f_store(&mut out, exp_m1(s, s.f_load(&self.0)));
            out
        }
    }

    #[test]
    fn exp_m1_is_close_to_f64_and_equal_on_every_isa() {
        for block in 0..1000 {
            // From -32 to nearly 0, ever closer.
            let x: [f32; 16] = std::array::from_fn(|j| -32.0 * libm::expf(-0.02 * block as f32 - 0.00125 * j as f32));
            let outs: Vec<_> = CpuIsa::available().iter().map(|i| i.run(ExpM1(x)).map(f32::to_bits)).collect();
            assert!(outs.iter().all(|o| *o == outs[0]));
            for (x, y) in x.iter().zip(outs[0]) {
                let err = f64::from(f32::from_bits(y)) / libm::expm1(f64::from(*x)) - 1.0;
                assert!(err.abs() < 4.0 / 8_388_608.0, "expm1 {x}: {err:e}");
            }
        }
        let edges = [0.0, -0.0, f32::NEG_INFINITY, -1e30, 1.0, -1e-30];
        let x: [f32; 16] = std::array::from_fn(|i| edges.get(i).copied().unwrap_or(f32::NAN));
        for isa in CpuIsa::available() {
            let y = isa.run(ExpM1(x));
            assert_eq!(y[..6], [0.0, 0.0, -1.0, -1.0, 0.0, -1e-30]);
            assert!(y[6..].iter().all(|y| y.is_nan()));
        }
    }

    #[test]
    fn exp_at_the_edges() {
        for isa in CpuIsa::available() {
            let x = [
                0.0,
                -0.0,
                f32::NEG_INFINITY,
                -104.0,
                -1e30,
                89.0,
                f32::INFINITY,
                1e30,
                1.0,
                -87.5,
                -100.0,
                88.7,
                0.5,
                -0.5,
                1e-30,
                3.0,
            ];
            let y = isa.run(Exp(x));
            assert_eq!(y[..8], [1.0, 1.0, 0.0, 0.0, 0.0, f32::INFINITY, f32::INFINITY, f32::INFINITY]);
            assert!(y[9] > 0.0 && y[10] > 0.0 && y[11].is_finite());
            assert!(isa.run(Exp([f32::NAN; 16])).iter().all(|y| y.is_nan()));
        }
    }
}
