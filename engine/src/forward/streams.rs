//! Several residual streams that stay apart (Hy 4's independent hyper-connections): a part reads a mixture of them, and what it
//! gives is added to each, times a number. Mixture and numbers are a row's own.
//!
//! ```text
//! a    = scale (of norm(s_0 ++ s_1 ++ ..)) + base             the norm is over all of them, without weights
//! x    = sum over i of (logistic(a_i) + eps) s_i              in order
//! s_i += (magnitude logistic(a_(count + i)) + eps) t
//! ```

use super::route::sigmoid;
use super::{Forward, SPLIT, blocks_of, norm, norm_cost, quantize_rows};
use crate::error::EngineError;
use crate::record::{Cost, Op};
use crate::weights::{Shares, StreamsHead};
use hewn_kernels::op::activation::add_scaled;
use hewn_kernels::op::matmul::{Input, Product, matmul};

impl Forward<'_, '_> {
    /// Every stream = `x`, which holds the embeddings.
    pub(super) fn begin_streams(&mut self, count: usize) {
        let (dim, n) = (self.model.config().dim, self.n);
        self.lap.op(Op::AltUp, || Cost::elements(n, dim, 1 + count, 0));
        let s = &mut *self.s;
        let x = &s.x;
        self.crew.rows(&mut s.streams.all[..n * count * dim], count * dim, n >= SPLIT, |_, r, streams| {
            streams.chunks_exact_mut(dim).for_each(|stream| stream.copy_from_slice(&x[r * dim..][..dim]));
        });
    }

    /// `x` = the mixture that a part reads; how much each stream gets of what it gives stays in `streams.shares`.
    pub(super) fn read_streams(&mut self, w: &Shares, head: &StreamsHead) -> Result<(), EngineError> {
        let (c, n, crew, gguf) = (self.model.config(), self.n, self.crew, self.model.gguf());
        let Some(of) = c.streams else { return Ok(()) };
        let (dim, width, made) = (c.dim, of.count * c.dim, w.of.rows);
        self.lap.op(Op::Norm, || norm_cost(n, width, Some(&head.even)));
        let s = &mut *self.s;
        let all = &s.streams.all;
        crew.rows(&mut s.streams.even[..n * width], width, n >= SPLIT, |_, r, even| {
            even.copy_from_slice(&all[r * width..][..width]);
            norm(crew.isa(), even, &head.even, c.eps);
        });
        self.lap_quantize(w.of.is_quant(), n, width);
        let s = &mut *self.s;
        let even = &s.streams.even[..n * width];
        quantize_rows(crew, w.of.is_quant(), even, width, &mut s.blocks, || "among the residual streams".into())?;
        self.lap.op(Op::AltUp, || {
            let mut all = Cost::products(n, &[w.of.view(gguf)]);
            all += Cost { rows: 0, ..Cost::elements(n, width, 1, 2) };
            all
        });
        let x = Input { floats: even, blocks: blocks_of(&s.blocks, n, width) };
        let shares = &mut s.streams.shares[..n * made];
        matmul(crew, n, &mut [Product { w: w.of.view(gguf), x, out: &mut *shares }]);
        crew.rows(shares, made, n >= SPLIT, |_, _, row| {
            let numbers = row.chunks_mut(of.count).zip(w.base.chunks(of.count)).zip(&w.scale);
            for (((part, base), scale), most) in numbers.zip([1.0, of.magnitude]) {
                let values = part.iter_mut().zip(base);
                values.for_each(|(v, base)| *v = sigmoid(*v * scale + base) * most + of.eps);
            }
        });
        let (all, shares) = (&s.streams.all, &*shares);
        crew.rows(&mut s.x[..n * dim], dim, n >= SPLIT, |_, r, x| {
            x.fill(0.0);
            let streams = all[r * width..][..width].chunks_exact(dim).zip(&shares[r * made..]);
            streams.for_each(|(stream, share)| add_scaled(x, stream, *share));
        });
        Ok(())
    }

    /// Adds what a part gave (`t`) to each stream, times its number.
    pub(super) fn write_streams(&mut self, count: usize) {
        let (dim, n) = (self.model.config().dim, self.n);
        self.lap.op(Op::ResidualAdd, || Cost::elements(n, dim, 2 * count + 1, count));
        let s = &mut *self.s;
        let (t, shares) = (&s.t, &s.streams.shares);
        self.crew.rows(&mut s.streams.all[..n * count * dim], count * dim, n >= SPLIT, |_, r, streams| {
            let own = &shares[(2 * r + 1) * count..][..count];
            let pairs = streams.chunks_exact_mut(dim).zip(own);
            pairs.for_each(|(stream, share)| add_scaled(stream, &t[r * dim..][..dim], *share));
        });
    }
}
