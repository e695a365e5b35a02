//! Streams that are kept: every so many layers the stream is put aside and begun anew, and what a part reads is a mixture of
//! those that were kept and of the stream (Kimi K3).
//!
//! ```text
//! score of a stream  = sum over channels of w x / sqrt(mean of x^2 + eps)     16 virtual lanes each, one tree
//! what a part reads  = sum over streams of softmax(scores) x                  in the order they were kept, the stream last
//! ```

use super::{Forward, SPLIT, norm};
use crate::record::{Cost, Op};
use crate::weights::Norm;
use hewn_kernels::op::activation::add_scaled;

impl Forward<'_, '_> {
    /// `h = norm(mixture)`, row by row, of the first `count` kept streams and the stream.
    pub(super) fn normed_mixture(&mut self, w: &[f32], count: usize, with: Option<&Norm>) {
        let (c, n, crew) = (self.model.config(), self.n, self.crew);
        let (dim, width) = (c.dim, c.kept_before(c.layers) * c.dim);
        self.lap.op(Op::Norm, || Cost::elements(n, dim, 2 * count + 3, 6 * (count + 1)));
        let s = &mut *self.s;
        let (x, kept) = (&s.x, &s.kept);
        crew.rows(&mut s.h[..n * dim], dim, n >= SPLIT, |_, r, h| {
            mix(&kept[r * width..][..count * dim], &x[r * dim..][..dim], w, c.eps, h);
            if let Some(with) = with {
                norm(crew.isa(), h, with, c.eps);
            }
        });
    }

    /// `x = mixture`, row by row, of all kept streams and the stream.
    pub(super) fn join_kept(&mut self, w: &[f32]) {
        let (dim, n) = (self.model.config().dim, self.n);
        self.normed_mixture(w, self.model.config().kept_before(self.model.config().layers), None);
        let s = &mut *self.s;
        let h = &s.h;
        self.crew.rows(&mut s.x[..n * dim], dim, n >= SPLIT, |_, r, x| x.copy_from_slice(&h[r * dim..][..dim]));
    }

    /// Keeps the stream as number `at` and begins another.
    pub(super) fn keep_stream(&mut self, at: usize) {
        let (c, n) = (self.model.config(), self.n);
        let (dim, width) = (c.dim, c.kept_before(c.layers) * c.dim);
        self.lap.op(Op::ResidualAdd, || Cost::elements(n, dim, 3, 0));
        let s = &mut *self.s;
        let mut rows: Vec<_> = s.kept[..n * width].chunks_exact_mut(width).zip(s.x.chunks_exact_mut(dim)).collect();
        self.crew.rows(&mut rows, 1, n >= SPLIT, |_, _, rows| {
            for (kept, x) in rows {
                kept[at * dim..][..dim].copy_from_slice(x);
                x.fill(0.0);
            }
        });
    }
}

/// One row: `kept` is `[streams, dim]`.
fn mix(kept: &[f32], x: &[f32], w: &[f32], eps: f32, out: &mut [f32]) {
    let streams = || kept.chunks_exact(x.len()).chain([x]);
    let mut shares: Vec<f32> = streams().map(|x| score(x, w, eps)).collect();
    let top = shares.iter().fold(f32::NEG_INFINITY, |m, v| m.max(*v));
    shares.iter_mut().for_each(|v| *v = libm::expf(*v - top));
    let sum: f32 = shares.iter().sum();
    out.fill(0.0);
    streams().zip(shares).for_each(|(x, share)| add_scaled(out, x, share / sum));
}

fn score(x: &[f32], w: &[f32], eps: f32) -> f32 {
    let squares = sum(x.iter().map(|x| x * x));
    sum(x.iter().zip(w).map(|(x, w)| x * w)) / (squares / x.len() as f32 + eps).sqrt()
}

/// Over sixteen virtual lanes, then the tree that kernels have.
fn sum(values: impl Iterator<Item = f32>) -> f32 {
    let mut lanes = [0.0f32; 16];
    values.enumerate().for_each(|(i, v)| lanes[i % 16] += v);
    for half in [8, 4, 2, 1] {
        let (low, high) = lanes.split_at_mut(half);
        low.iter_mut().zip(high).for_each(|(a, b)| *a += *b);
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_alone_is_what_is_read() {
        let x: Vec<f32> = (0..37).map(|i| (i as f32 - 11.0) * 0.3).collect();
        let mut out = vec![f32::NAN; 37];
        mix(&[], &x, &[1.0; 37], 1e-5, &mut out);
        assert_eq!(out, x);
    }

    #[test]
    fn equal_streams_have_equal_shares() {
        let x: Vec<f32> = (0..20).map(|i| i as f32 - 3.5).collect();
        let (kept, mut out) = (x.repeat(3), vec![f32::NAN; 20]);
        mix(&kept, &x, &[0.5; 20], 1e-5, &mut out);
        assert_eq!(out, x);
    }
}
