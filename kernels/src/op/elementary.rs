//! Elementary functions of whole rows, in place: what tells recurrent layers how fast they fade.

use crate::isa::{CpuIsa, Isa, Kernel, load_tail, store_tail};
use crate::math;

#[derive(Clone, Copy, Debug)]
enum Function {
    Exp,
    Tanh,
    Softplus,
}

struct Each<'a>(Function, &'a mut [f32]);

impl Kernel for Each<'_> {
    type Out = ();
    #[inline(always)]
    fn call<S: Isa>(self, s: S) {
        for x in self.1.chunks_mut(16) {
            let v = load_tail(s, x);
            let v = match self.0 {
                Function::Exp => math::exp(s, v),
                Function::Tanh => math::tanh(s, v),
                Function::Softplus => math::softplus(s, v),
            };
            store_tail(s, x, v);
        }
    }
}

/// `x = e^x`, elementwise.
pub fn exp(isa: CpuIsa, x: &mut [f32]) {
    isa.run_lanes(Each(Function::Exp, x));
}

/// `x = tanh x`, elementwise, with an absolute error of about 1e-7.
pub fn tanh(isa: CpuIsa, x: &mut [f32]) {
    isa.run_lanes(Each(Function::Tanh, x));
}

/// `x = ln(1 + e^x)`, elementwise.
pub fn softplus(isa: CpuIsa, x: &mut [f32]) {
    isa.run_lanes(Each(Function::Softplus, x));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Lcg;

    #[test]
    fn they_are_close_to_f64_and_equal_on_every_isa() {
        let mut rng = Lcg(61);
        for function in [Function::Exp, Function::Tanh, Function::Softplus] {
            for n in [0, 1, 15, 16, 17, 100] {
                let x: Vec<f32> = (0..n).map(|i| rng.float() * [0.01, 1.0, 8.0, 60.0][i % 4]).collect();
                let mut first: Option<Vec<u32>> = None;
                for isa in CpuIsa::available() {
                    let mut y = x.clone();
                    match function {
                        Function::Exp => exp(isa, &mut y),
                        Function::Tanh => tanh(isa, &mut y),
                        Function::Softplus => softplus(isa, &mut y),
                    }
                    for (x, y) in x.iter().zip(&y) {
                        let x = f64::from(*x);
                        // Of the hyperbolic tangent the error is absolute; nothing here comes near the smallest numbers.
                        let (want, size) = match function {
                            Function::Exp => (libm::exp(x), libm::exp(x)),
                            Function::Tanh => (libm::tanh(x), 1.0),
                            Function::Softplus => {
                                let want = x.max(0.0) + libm::log1p(libm::exp(-x.abs()));
                                (want, want)
                            }
                        };
                        assert!((f64::from(*y) - want).abs() <= 4e-7 * size, "{function:?} {x:e}: {y:e} {want:e}");
                    }
                    let bits: Vec<u32> = y.iter().map(|v| v.to_bits()).collect();
                    assert_eq!(*first.get_or_insert(bits.clone()), bits, "{function:?} {}", isa.kind());
                }
            }
        }
    }

    #[test]
    fn the_ends_are_what_they_should_be() {
        for isa in CpuIsa::available() {
            let mut y = [f32::INFINITY, f32::NEG_INFINITY, 100.0, -200.0, 0.0, f32::NAN];
            softplus(isa, &mut y);
            assert_eq!(y[..4], [f32::INFINITY, 0.0, 100.0, 0.0], "{}", isa.kind());
            assert!((y[4] - std::f32::consts::LN_2).abs() < 1e-7 && y[5].is_nan(), "{} {y:?}", isa.kind());
            let mut y = [f32::NAN; 3];
            exp(isa, &mut y[..1]);
            tanh(isa, &mut y[1..]);
            assert!(y.iter().all(|v| v.is_nan()));
        }
    }
}
