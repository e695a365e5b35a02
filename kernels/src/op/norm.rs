//! RMS norm: `y = x * (1 / sqrt(mean(x^2) + eps)) * w`.

use crate::isa::{CpuIsa, Isa, Kernel, load_tail, store_tail};

struct RmsNorm<'a> {
    x: &'a mut [f32],
    w: &'a [f32],
    eps: f32,
}

impl Kernel for RmsNorm<'_> {
    type Out = ();
    #[inline(always)]
    fn call<S: Isa>(self, s: S) {
        let mut sum = s.f_splat(0.0);
        for x in self.x.chunks(16) {
            let v = load_tail(s, x);
            sum = s.f_fma(v, v, sum);
        }
        let mean = s.f_sum(sum) / self.x.len() as f32;
        let r = s.f_splat(1.0 / (mean + self.eps).sqrt());
        for (x, w) in self.x.chunks_mut(16).zip(self.w.chunks(16)) {
            let v = s.f_mul(s.f_mul(load_tail(s, x), r), load_tail(s, w));
            store_tail(s, x, v);
        }
    }
}

/// Normalizes one row in place: `x` and `w` are `[dim]`. The sum of squares runs over sixteen virtual lanes.
///
/// # Panics
/// When the lengths differ.
pub fn rms_norm(isa: CpuIsa, x: &mut [f32], w: &[f32], eps: f32) {
    assert_eq!(x.len(), w.len());
    isa.run_lanes(RmsNorm { x, w, eps });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Lcg;

    #[test]
    fn is_right_and_equal_on_every_isa() {
        let mut rng = Lcg(3);
        for n in [1, 2, 15, 16, 17, 31, 64, 257, 1536] {
            let x: Vec<f32> = (0..n).map(|_| rng.float() * 3.0).collect();
            let w: Vec<f32> = (0..n).map(|_| rng.float() + 1.0).collect();
            let mean = x.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / n as f64;
            let mut first: Option<Vec<f32>> = None;
            for isa in CpuIsa::available() {
                let mut y = x.clone();
                rms_norm(isa, &mut y, &w, 1e-5);
                for i in 0..n {
                    let want = f64::from(x[i]) / (mean + 1e-5).sqrt() * f64::from(w[i]);
                    assert!((f64::from(y[i]) - want).abs() <= 1e-5 * want.abs() + 1e-9);
                }
                assert_eq!(*first.get_or_insert(y.clone()), y);
            }
        }
    }
}
