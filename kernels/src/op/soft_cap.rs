//! A smooth bound: `cap * tanh(x / cap)`.

use crate::isa::{CpuIsa, Isa, Kernel, load_tail, store_tail};
use crate::math::tanh;

struct SoftCap<'a> {
    x: &'a mut [f32],
    cap: f32,
}

impl Kernel for SoftCap<'_> {
    type Out = ();
    #[inline(always)]
    fn call<S: Isa>(self, s: S) {
        for x in self.x.chunks_mut(16) {
            let v = cap(s, load_tail(s, x), self.cap);
            store_tail(s, x, v);
        }
    }
}

/// `cap * tanh(x / cap)` in every lane.
#[inline(always)]
pub(crate) fn cap<S: Isa>(s: S, x: S::F, cap: f32) -> S::F {
    let cap = s.f_splat(cap);
    s.f_mul(cap, tanh(s, s.f_div(x, cap)))
}

/// Bounds every element of `x` in place.
pub fn soft_cap(isa: CpuIsa, x: &mut [f32], cap: f32) {
    isa.run_lanes(SoftCap { x, cap });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_right_and_equal_on_every_isa() {
        let x: Vec<f32> = (0..203).map(|i| (i as f32 - 100.0) * 1.7).collect();
        let mut first: Option<Vec<f32>> = None;
        for isa in CpuIsa::available() {
            let mut y = x.clone();
            soft_cap(isa, &mut y, 30.0);
            for (x, y) in x.iter().zip(&y) {
                assert!((f64::from(*y) - 30.0 * libm::tanh(f64::from(*x) / 30.0)).abs() < 1e-5);
            }
            assert_eq!(*first.get_or_insert(y.clone()), y);
        }
    }
}
