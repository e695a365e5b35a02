//! Elementwise operations of the feed-forward part and the residual stream.

use crate::isa::{CpuIsa, Isa, Kernel, load_tail, store_tail};
use crate::math::{exp, exp_m1};
use crate::op::xielu::{Xielu, xielu};

/// A function of one value that decides how much of another passes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// `g / (1 + exp(-g))`.
    Silu,
    /// The Gaussian error linear unit by its tanh formula, `g / 2 * (1 + tanh(sqrt(2 / pi) (g + 0.044715 g^3)))`.
    Gelu,
    /// That unit itself, `g / 2 * (1 + erf(g / sqrt(2)))`.
    GeluErf,
    /// The logistic function, `1 / (1 + exp(-g))`.
    Logistic,
    /// What is above 0, `max(g, 0)`.
    Relu,
    /// The square of what is above 0, `max(g, 0)^2`.
    ReluSquared,
    /// See [`mod@crate::op::xielu`].
    Xielu(Xielu),
    /// gpt-oss: `g` at most 7, `up` within -7..=7, `g / (1 + exp(-1.702 g)) * (up + 1)`.
    Clamped,
    /// `g / (1 + exp(-g))` at most this, `up` within it on both sides.
    SiluUpTo(f32),
    /// `g` at most this, `up` within it on both sides, `g / (1 + exp(-g)) * up`.
    SiluOfUpTo(f32),
    /// Kimi K3: `gate tanh(g / gate) / (1 + exp(-g))`, times `up tanh(u / up)`, or `u` where that has no bound.
    Situ {
        /// The bound of the gate, above 0.
        gate: f32,
        /// Of what it lets through, above 0.
        up: Option<f32>,
    },
}

struct Gate<'a> {
    kind: Activation,
    gate: &'a mut [f32],
    up: &'a [f32],
}

impl Kernel for Gate<'_> {
    type Out = ();
    #[inline(always)]
    fn call<S: Isa>(self, s: S) {
        for (o, u) in self.gate.chunks_mut(16).zip(self.up.chunks(16)) {
            let v = gated(s, self.kind, load_tail(s, o), load_tail(s, u));
            store_tail(s, o, v);
        }
    }
}

/// `activation(g) * u`.
#[inline(always)]
pub(crate) fn gated<S: Isa>(s: S, kind: Activation, g: S::F, u: S::F) -> S::F {
    match kind {
        Activation::Silu => s.f_mul(silu(s, g), u),
        Activation::Gelu => s.f_mul(gelu(s, g), u),
        Activation::GeluErf => s.f_mul(gelu_erf(s, g), u),
        Activation::Logistic => logistic_share(s, u, s.f_sub(s.f_splat(0.0), g)),
        Activation::Relu => s.f_mul(relu(s, g), u),
        Activation::ReluSquared => s.f_mul(relu_squared(s, g), u),
        Activation::Xielu(p) => s.f_mul(xielu(s, &p, g), u),
        Activation::Clamped => {
            // In this order a NaN comes through (see `f_min`).
            let g = s.f_min(s.f_splat(7.0), g);
            let u = within(s, 7.0, u);
            let v = logistic_share(s, g, s.f_mul(g, s.f_splat(-1.702)));
            s.f_mul(v, s.f_add(u, s.f_splat(1.0)))
        }
        Activation::SiluUpTo(most) => s.f_mul(s.f_min(s.f_splat(most), silu(s, g)), within(s, most, u)),
        Activation::SiluOfUpTo(most) => s.f_mul(silu(s, s.f_min(s.f_splat(most), g)), within(s, most, u)),
        Activation::Situ { gate, up } => {
            let u = match up {
                Some(most) => bounded(s, most, u),
                None => u,
            };
            s.f_mul(situ(s, gate, g), u)
        }
    }
}

/// `most tanh(g / most) / (1 + e^-g)`
#[inline(always)]
fn situ<S: Isa>(s: S, most: f32, g: S::F) -> S::F {
    logistic_share(s, bounded(s, most, g), s.f_sub(s.f_splat(0.0), g))
}

/// `most tanh(x / most)`, exact to a few ulp also near 0: of `m = e^(-2 |t|) - 1`, `tanh |t|` is `-m / (m + 2)`.
#[inline(always)]
fn bounded<S: Isa>(s: S, most: f32, x: S::F) -> S::F {
    // As large as any hyperbolic tangent of what it is multiplied with.
    const FAR: f32 = 1.267_650_6e30;
    let t = s.f_div(x, s.f_splat(most));
    let zero = s.f_splat(0.0);
    let down = s.f_min(s.f_sub(zero, t), t);
    let m = exp_m1(s, s.f_add(down, down));
    let less = s.f_div(m, s.f_add(m, s.f_splat(2.0)));
    let more = s.f_sub(zero, less);
    // The sign is that of `t`. In this order a NaN comes through (see `f_min`).
    let v = s.f_max(less, s.f_min(more, s.f_mul(t, s.f_splat(FAR))));
    s.f_mul(v, s.f_splat(most))
}

/// `u` within `-most..=most`. In this order a NaN comes through (see `f_min`).
#[inline(always)]
fn within<S: Isa>(s: S, most: f32, u: S::F) -> S::F {
    s.f_max(s.f_splat(-most), s.f_min(s.f_splat(most), u))
}

struct Activate<'a> {
    kind: Activation,
    x: &'a mut [f32],
}

impl Kernel for Activate<'_> {
    type Out = ();
    #[inline(always)]
    fn call<S: Isa>(self, s: S) {
        for o in self.x.chunks_mut(16) {
            let x = load_tail(s, o);
            let v = match self.kind {
                Activation::Silu => silu(s, x),
                Activation::Gelu => gelu(s, x),
                Activation::GeluErf => gelu_erf(s, x),
                Activation::Logistic => logistic_share(s, s.f_splat(1.0), s.f_sub(s.f_splat(0.0), x)),
                Activation::Relu => relu(s, x),
                Activation::ReluSquared => relu_squared(s, x),
                Activation::Xielu(p) => xielu(s, &p, x),
                Activation::Clamped => {
                    let x = s.f_min(s.f_splat(7.0), x);
                    logistic_share(s, x, s.f_mul(x, s.f_splat(-1.702)))
                }
                Activation::SiluUpTo(most) => s.f_min(s.f_splat(most), silu(s, x)),
                Activation::SiluOfUpTo(most) => silu(s, s.f_min(s.f_splat(most), x)),
                Activation::Situ { gate, .. } => situ(s, gate, x),
            };
            store_tail(s, o, v);
        }
    }
}

/// `x / (1 + e^t)`
#[inline(always)]
fn logistic_share<S: Isa>(s: S, x: S::F, t: S::F) -> S::F {
    s.f_div(x, s.f_add(s.f_splat(1.0), exp(s, t)))
}

#[inline(always)]
pub(crate) fn silu<S: Isa>(s: S, x: S::F) -> S::F {
    logistic_share(s, x, s.f_sub(s.f_splat(0.0), x))
}

#[inline(always)]
fn relu<S: Isa>(s: S, x: S::F) -> S::F {
    // In this order a NaN comes through (see `f_max`).
    s.f_max(s.f_splat(0.0), x)
}

#[inline(always)]
fn relu_squared<S: Isa>(s: S, x: S::F) -> S::F {
    let x = relu(s, x);
    s.f_mul(x, x)
}

/// `(1 + tanh u) / 2` is `1 / (1 + e^(-2 u))`, which needs no tanh and cancels nothing.
#[inline(always)]
fn gelu<S: Isa>(s: S, x: S::F) -> S::F {
    const TWICE_ROOT: f32 = 1.595_769;
    let cubic = s.f_fma(s.f_mul(x, x), s.f_splat(0.044_715), s.f_splat(1.0));
    logistic_share(s, x, s.f_mul(s.f_mul(x, s.f_splat(-TWICE_ROOT)), cubic))
}

/// `max(x, 0) - |x| erfc(|x| / sqrt(2)) / 2`, which cancels nothing; `erfc(z)` is `e^(-z^2)` times a polynomial in
/// `1 / (1 + 0.35 z)`, with a relative error of 1.2e-8.
#[inline(always)]
fn gelu_erf<S: Isa>(s: S, x: S::F) -> S::F {
    // Of half of it, from the tenth power down to the first; fitted to `erfc(z) e^(z^2) / 2` up to z = 16.
    const C: [f32; 10] = [
        0.021_303_663,
        -0.090_998_5,
        0.118_133_195,
        -0.050_788_984,
        0.074_570_58,
        0.056_158_96,
        0.081_489_42,
        0.092_673_13,
        0.098_724_745,
        0.098_733_8,
    ];
    const NEAR: f32 = 0.247_487_37;
    let one = s.f_splat(1.0);
    let size = s.f_max(s.f_sub(s.f_splat(0.0), x), x);
    let t = s.f_div(one, s.f_fma(size, s.f_splat(NEAR), one));
    let mut p = s.f_splat(C[0]);
    for c in &C[1..] {
        p = s.f_fma(p, t, s.f_splat(*c));
    }
    let tail = exp(s, s.f_mul(s.f_mul(x, x), s.f_splat(-0.5)));
    s.f_sub(relu(s, x), s.f_mul(size, s.f_mul(s.f_mul(p, t), tail)))
}

/// `gate = activation(gate) * up`, elementwise (see [`Activation::Clamped`] and those with a bound for what that does to `up`).
///
/// # Panics
/// When the lengths differ.
pub fn gate(isa: CpuIsa, kind: Activation, gate: &mut [f32], up: &[f32]) {
    assert_eq!(gate.len(), up.len());
    isa.run_lanes(Gate { kind, gate, up });
}

/// `x = activation(x)`, elementwise.
pub fn activate(isa: CpuIsa, kind: Activation, x: &mut [f32]) {
    isa.run_lanes(Activate { kind, x });
}

/// `x += y`, elementwise.
///
/// # Panics
/// When the lengths differ.
pub fn add(x: &mut [f32], y: &[f32]) {
    assert_eq!(x.len(), y.len());
    x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
}

/// `x += y * factor`, elementwise, rounded after each operation.
///
/// # Panics
/// When the lengths differ.
pub fn add_scaled(x: &mut [f32], y: &[f32], factor: f32) {
    assert_eq!(x.len(), y.len());
    x.iter_mut().zip(y).for_each(|(x, y)| *x += y * factor);
}

/// `x *= y`, elementwise.
///
/// # Panics
/// When the lengths differ.
pub fn multiply(x: &mut [f32], y: &[f32]) {
    assert_eq!(x.len(), y.len());
    x.iter_mut().zip(y).for_each(|(x, y)| *x *= y);
}

/// `x *= factor`, elementwise.
pub fn scale(x: &mut [f32], factor: f32) {
    x.iter_mut().for_each(|x| *x *= factor);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Lcg;

    fn exact(kind: Activation, g: f64) -> f64 {
        match kind {
            Activation::Silu => g / (1.0 + libm::exp(-g)),
            Activation::Gelu => {
                let u = libm::sqrt(std::f64::consts::FRAC_2_PI) * (g + 0.044715 * g * g * g);
                // `1 + tanh u` without the cancellation at the far left.
                g / (1.0 + libm::exp(-2.0 * u))
            }
            Activation::GeluErf => g / 2.0 * libm::erfc(-g / std::f64::consts::SQRT_2),
            Activation::Logistic => 1.0 / (1.0 + libm::exp(-g)),
            Activation::Relu => g.max(0.0),
            Activation::ReluSquared => g.max(0.0).powi(2),
            Activation::Xielu(p) => {
                let [above, below, line, end] = [p.above, p.below, p.line, p.end].map(f64::from);
                let curve = if g > 0.0 { above * g * g } else { below * (libm::expm1(g.min(end)) - g) };
                curve + line * g
            }
            Activation::Clamped => g.min(7.0) / (1.0 + libm::exp(-1.702 * g.min(7.0))),
            Activation::SiluUpTo(most) => exact(Activation::Silu, g).min(most.into()),
            Activation::SiluOfUpTo(most) => exact(Activation::Silu, g.min(most.into())),
            Activation::Situ { gate, .. } => f64::from(gate) * libm::tanh(g / f64::from(gate)) / (1.0 + libm::exp(-g)),
        }
    }

    /// Numbers as published models have them.
    const XIELU: Xielu = Xielu { above: 0.81, below: 1.31, line: 0.5, end: -1e-6 };
    const ALL: [Activation; 12] = [
        Activation::Silu,
        Activation::Gelu,
        Activation::GeluErf,
        Activation::Logistic,
        Activation::Relu,
        Activation::ReluSquared,
        Activation::Xielu(XIELU),
        Activation::Clamped,
        Activation::SiluUpTo(2.5),
        Activation::SiluOfUpTo(2.5),
        Activation::Situ { gate: 1.5, up: Some(3.0) },
        Activation::Situ { gate: 20.0, up: None },
    ];

    #[test]
    fn activations_are_right_and_equal_on_every_isa() {
        let mut rng = Lcg(5);
        for kind in ALL {
            for n in [0, 1, 15, 16, 17, 100] {
                let g: Vec<f32> = (0..n).map(|i| rng.float() * if i % 7 == 0 { 200.0 } else { 4.0 }).collect();
                let u: Vec<f32> = (0..n).map(|i| rng.float() * if i % 5 == 0 { 20.0 } else { 1.0 }).collect();
                let mut first: Option<Vec<u32>> = None;
                for isa in CpuIsa::available() {
                    let (mut y, mut a) = (g.clone(), g.clone());
                    gate(isa, kind, &mut y, &u);
                    activate(isa, kind, &mut a);
                    for i in 0..n {
                        let act = exact(kind, g[i].into());
                        let up = match kind {
                            Activation::Clamped => f64::from(u[i]).clamp(-7.0, 7.0) + 1.0,
                            Activation::SiluUpTo(most) | Activation::SiluOfUpTo(most) => {
                                f64::from(u[i].clamp(-most, most))
                            }
                            Activation::Situ { up: Some(most), .. } => {
                                f64::from(most) * libm::tanh(f64::from(u[i]) / f64::from(most))
                            }
                            _ => u[i].into(),
                        };
                        // Rounding within the exponent counts as often as it is large.
                        let bar = 1e-6 * (1.0 + 0.1 * f64::from(g[i]).powi(2).min(400.0));
                        for (y, want, up) in [(y[i], act * up, up), (a[i], act, 1.0)] {
                            let err = (f64::from(y) - want).abs();
                            // The two parts of this one cancel out somewhere below 0.
                            let parts =
                                if let Activation::Xielu(p) = kind { f64::from(p.line * g[i]) * up } else { 0.0 };
                            let bar = bar * want.abs().max(parts.abs());
                            assert!(err <= bar + 1e-30, "{kind:?} {} {want} {y}", g[i]);
                        }
                    }
                    let bits: Vec<u32> = y.iter().chain(&a).map(|v| v.to_bits()).collect();
                    assert_eq!(*first.get_or_insert(bits.clone()), bits);
                }
            }
        }
    }

    #[test]
    fn the_two_sides_of_xielu_meet_at_zero() {
        // Of 0 and what is next to it on both sides, whatever its sign; `e^t - 1` stays below.
        let x = [0.0, -0.0, f32::MIN_POSITIVE, -f32::MIN_POSITIVE, 1e-3, -1e-3, f32::from_bits(1), -f32::from_bits(1)];
        for isa in CpuIsa::available() {
            let mut y = x;
            activate(isa, Activation::Xielu(XIELU), &mut y);
            for (x, y) in x.into_iter().zip(y) {
                let want = exact(Activation::Xielu(XIELU), x.into());
                assert!((f64::from(y) - want).abs() <= 1e-6 * want.abs() + 1e-36, "{x:e}: {y:e} {want:e}");
            }
        }
    }

    #[test]
    fn a_nan_stays_one() {
        for kind in ALL {
            for isa in CpuIsa::available() {
                let mut y = [f32::NAN, 1.0];
                gate(isa, kind, &mut y, &[1.0, f32::NAN]);
                assert!(y[0].is_nan() && y[1].is_nan(), "{kind:?} {}", isa.kind());
            }
        }
    }
}
