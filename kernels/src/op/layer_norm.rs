//! Layer norm: `y = (x - mean(x)) * (1 / sqrt(variance(x) + eps)) * w + b`.

use crate::isa::{CpuIsa, Isa, Kernel, load_tail, store_tail};

struct LayerNorm<'a> {
    x: &'a mut [f32],
    w: &'a [f32],
    b: Option<&'a [f32]>,
    eps: f32,
}

impl Kernel for LayerNorm<'_> {
    type Out = ();
    #[inline(always)]
    fn call<S: Isa>(self, s: S) {
        let n = self.x.len() as f32;
        let mut sum = s.f_splat(0.0);
        for x in self.x.chunks(16) {
            sum = s.f_add(sum, load_tail(s, x));
        }
        let mean = s.f_sum(sum) / n;
        // The mean is taken off first, so that the lanes past the end stay 0 and nothing cancels.
        self.x.iter_mut().for_each(|x| *x -= mean);
        let mut sum = s.f_splat(0.0);
        for x in self.x.chunks(16) {
            let v = load_tail(s, x);
            sum = s.f_fma(v, v, sum);
        }
        let r = s.f_splat(1.0 / (s.f_sum(sum) / n + self.eps).sqrt());
        for (x, w) in self.x.chunks_mut(16).zip(self.w.chunks(16)) {
            let v = s.f_mul(s.f_mul(load_tail(s, x), r), load_tail(s, w));
            store_tail(s, x, v);
        }
        if let Some(b) = self.b {
            self.x.iter_mut().zip(b).for_each(|(x, b)| *x += b);
        }
    }
}

/// Normalizes one row in place: `x`, `w` and `b` are `[dim]`. Both sums run over sixteen virtual lanes.
///
/// # Panics
/// When the lengths differ.
pub fn layer_norm(isa: CpuIsa, x: &mut [f32], w: &[f32], b: Option<&[f32]>, eps: f32) {
    assert!(x.len() == w.len() && b.is_none_or(|b| b.len() == x.len()));
    isa.run_lanes(LayerNorm { x, w, b, eps });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Lcg;

    #[test]
    fn is_right_and_equal_on_every_isa() {
        let mut rng = Lcg(11);
        for n in [2, 15, 16, 17, 31, 64, 257, 1536] {
            let x: Vec<f32> = (0..n).map(|_| rng.float() * 3.0 + 1.0).collect();
            let w: Vec<f32> = (0..n).map(|_| rng.float() + 1.0).collect();
            let b: Vec<f32> = (0..n).map(|_| rng.float()).collect();
            let mean = x.iter().map(|v| f64::from(*v)).sum::<f64>() / n as f64;
            let var = x.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n as f64;
            for b in [None, Some(&b[..])] {
                let mut first: Option<Vec<f32>> = None;
                for isa in CpuIsa::available() {
                    let mut y = x.clone();
                    layer_norm(isa, &mut y, &w, b, 1e-5);
                    for i in 0..n {
                        let want = (f64::from(x[i]) - mean) / (var + 1e-5).sqrt() * f64::from(w[i])
                            + b.map_or(0.0, |b| f64::from(b[i]));
                        assert!((f64::from(y[i]) - want).abs() <= 1e-5 * want.abs() + 1e-5);
                    }
                    assert_eq!(*first.get_or_insert(y.clone()), y);
                }
            }
        }
    }
}
