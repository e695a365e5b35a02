//! xIELU (arXiv 2411.13010, section 3): a square above 0 and an exponential below, both with a line added.
//!
//! ```text
//! x > 0:      a x^2 + b x
//! otherwise:  a' (e^min(x, t) - 1 - x) + b x         t: a little below 0, where the difference would lose its digits
//! ```
//!
//! `a`, `a'` and `b` are learnt, layer by layer; `t` is that of the authors' code, which files repeat.

use crate::isa::Isa;
use crate::math::exp_m1;

/// The numbers of one layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Xielu {
    /// `a`: of the square.
    pub above: f32,
    /// `a'`: of the exponential.
    pub below: f32,
    /// `b`: of the line.
    pub line: f32,
    /// `t`: where the exponential ends; at most 0.
    pub end: f32,
}

/// The function in every lane; of a NaN it is a NaN.
#[inline(always)]
pub(crate) fn xielu<S: Isa>(s: S, p: &Xielu, x: S::F) -> S::F {
    let line = s.f_splat(p.line);
    let above = s.f_mul(x, s.f_fma(s.f_splat(p.above), x, line));
    // In this order a NaN comes through (see `f_min`).
    let curve = s.f_sub(exp_m1(s, s.f_min(s.f_splat(p.end), x)), x);
    let below = s.f_fma(s.f_splat(p.below), curve, s.f_mul(line, x));
    // All ones where `x` is not above 0: the sign is set in its bits (of -0 too), or in one less than them (of 0).
    let bits = s.f_as_i(x);
    let mask = s.i_sar(s.i_or(bits, s.i_sub(bits, s.i_splat(1))), 31);
    let rest = s.i_xor(mask, s.i_splat(-1));
    s.i_as_f(s.i_or(s.i_and(mask, s.f_as_i(below)), s.i_and(rest, s.f_as_i(above))))
}
