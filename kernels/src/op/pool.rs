//! Several rows as one: of each channel the mean, weighted by a softmax of scores that the channel has in each row.
//!
//! ```text
//! m = max over rows of score     e_i = exp(score_i - m)     out = (FMA chain over rows of e_i * value_i) / (sum of e_i)
//! ```
//!
//! Lanes run over channels, chains over rows in their order.

use crate::isa::{CpuIsa, Isa, Kernel, load_tail, store_tail};
use crate::math::exp;

/// A row to be pooled.
#[derive(Clone, Copy, Debug)]
pub struct Pooled<'a> {
    /// `[dim]`
    pub values: &'a [f32],
    /// `[dim]`
    pub scores: &'a [f32],
}

struct Pool<'a> {
    rows: &'a [Pooled<'a>],
    out: &'a mut [f32],
}

impl Kernel for Pool<'_> {
    type Out = ();
    #[inline(always)]
    fn call<S: Isa>(self, s: S) {
        for (i, out) in self.out.chunks_mut(16).enumerate() {
            let (from, to) = (i * 16, i * 16 + out.len());
            let mut top = s.f_splat(f32::NEG_INFINITY);
            for row in self.rows {
                top = s.f_max(top, load_tail(s, &row.scores[from..to]));
            }
            let (mut sum, mut acc) = (s.f_splat(0.0), s.f_splat(0.0));
            for row in self.rows {
                let e = exp(s, s.f_sub(load_tail(s, &row.scores[from..to]), top));
                sum = s.f_add(sum, e);
                acc = s.f_fma(e, load_tail(s, &row.values[from..to]), acc);
            }
            store_tail(s, out, s.f_div(acc, sum));
        }
    }
}

/// Pools `rows`, of which there is at least one, to `out` (`[dim]`).
///
/// # Panics
/// When there is none, or the lengths differ.
pub fn pool(isa: CpuIsa, rows: &[Pooled<'_>], out: &mut [f32]) {
    assert!(!rows.is_empty() && rows.iter().all(|r| r.values.len() == out.len() && r.scores.len() == out.len()));
    isa.run_lanes(Pool { rows, out });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;
    use crate::testing::Lcg;

    #[test]
    fn is_right_and_equal_on_every_isa() {
        let mut rng = Lcg(71);
        for (dim, rows) in [(1, 1), (15, 4), (16, 8), (17, 128), (31, 3), (512, 8)] {
            let values: Vec<Vec<f32>> = (0..rows).map(|_| rng.floats(dim)).collect();
            let scores: Vec<Vec<f32>> =
                (0..rows).map(|_| rng.floats(dim).iter().map(|v| v * 20.0 - 3.0).collect()).collect();
            let all: Vec<Pooled<'_>> =
                values.iter().zip(&scores).map(|(values, scores)| Pooled { values, scores }).collect();
            let want: Vec<f32> = (0..dim)
                .map(|c| reference::pool(&all.iter().map(|r| [r.values[c], r.scores[c]]).collect::<Vec<_>>()))
                .collect();
            for (c, want) in want.iter().enumerate() {
                let e = |r: &Pooled<'_>| f64::from(r.scores[c]).exp();
                let exact =
                    all.iter().map(|r| e(r) * f64::from(r.values[c])).sum::<f64>() / all.iter().map(e).sum::<f64>();
                assert!((f64::from(*want) - exact).abs() < 1e-5);
            }
            for isa in CpuIsa::available() {
                let mut out = vec![f32::NAN; dim];
                pool(isa, &all, &mut out);
                let same = out.iter().zip(&want).all(|(a, b)| a.to_bits() == b.to_bits());
                assert!(same, "{dim} {rows} {}", isa.kind());
            }
        }
        for isa in CpuIsa::available() {
            let (values, scores, mut out) = ([1.0, f32::NAN, 3.0], [f32::NAN, 0.0, 0.0], [0.0; 3]);
            pool(isa, &[Pooled { values: &values, scores: &scores }], &mut out);
            assert!(out[0].is_nan() && out[1].is_nan() && out[2] == 3.0, "{}", isa.kind());
        }
    }
}
