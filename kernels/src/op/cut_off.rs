//! A cut-off by the spread of a row: `x = max(x - (mean(x) + deviations * spread(x)), 0)`, by which most of a row of gates
//! becomes 0. The spread is the root of the sum of squares off the mean over `n - 1`.

use crate::isa::{CpuIsa, Isa, Kernel, load_tail, store_tail};

struct CutOff<'a> {
    x: &'a mut [f32],
    deviations: f32,
}

impl Kernel for CutOff<'_> {
    type Out = ();
    #[inline(always)]
    fn call<S: Isa>(self, s: S) {
        let n = self.x.len();
        let mut sum = s.f_splat(0.0);
        for x in self.x.chunks(16) {
            sum = s.f_add(sum, load_tail(s, x));
        }
        let mean = s.f_splat(s.f_sum(sum) / n as f32);
        // The mean is taken off first, so that the lanes past the end stay 0 and nothing cancels.
        for x in self.x.chunks_mut(16) {
            let v = s.f_sub(load_tail(s, x), mean);
            store_tail(s, x, v);
        }
        let mut sum = s.f_splat(0.0);
        for x in self.x.chunks(16) {
            let v = load_tail(s, x);
            sum = s.f_fma(v, v, sum);
        }
        let spread = (s.f_sum(sum) / (n.max(2) - 1) as f32).sqrt();
        let cut = s.f_splat(self.deviations * spread);
        for x in self.x.chunks_mut(16) {
            // In this order a NaN comes through (see `f_max`).
            let v = s.f_max(s.f_splat(0.0), s.f_sub(load_tail(s, x), cut));
            store_tail(s, x, v);
        }
    }
}

/// Cuts one row in place. Both sums run over sixteen virtual lanes.
pub fn cut_off(isa: CpuIsa, x: &mut [f32], deviations: f32) {
    isa.run_lanes(CutOff { x, deviations });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;
    use crate::testing::Lcg;

    #[test]
    fn is_right_and_equal_on_every_isa() {
        let mut rng = Lcg(13);
        for n in [1, 2, 15, 16, 17, 31, 64, 257, 1536] {
            for deviations in [1.644_853_6, 0.0, -0.5] {
                let x: Vec<f32> = (0..n).map(|_| rng.float() * 3.0 + 1.0).collect();
                let mean = x.iter().map(|v| f64::from(*v)).sum::<f64>() / n as f64;
                let squares = x.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>();
                let cut = mean + f64::from(deviations) * (squares / (n.max(2) - 1) as f64).sqrt();
                let want = reference::cut_off(&x, deviations);
                for isa in CpuIsa::available() {
                    let mut y = x.clone();
                    cut_off(isa, &mut y, deviations);
                    for i in 0..n {
                        assert_eq!(y[i].to_bits(), want[i].to_bits(), "{n} {}", isa.kind());
                        assert!((f64::from(y[i]) - (f64::from(x[i]) - cut).max(0.0)).abs() < 1e-5);
                    }
                }
            }
        }
        for isa in CpuIsa::available() {
            let mut y = [1.0, f32::NAN, 3.0];
            cut_off(isa, &mut y, 1.0);
            assert!(y.iter().all(|y| y.is_nan()), "{}", isa.kind());
        }
    }
}
