//! Several residual streams that layers mix (manifold-constrained hyper-connections, arXiv 2512.24880): each part reads a
//! mixture of them, and what it gives joins all of them. How much of which follows from all streams of the row.

use super::route::sigmoid;
use super::{Forward, SPLIT, blocks_of, norm, norm_cost, quantize_rows};
use crate::config::Hyper;
use crate::error::EngineError;
use crate::record::{Cost, Op};
use crate::weights::MixedShares;
use hewn_kernels::op::hyper::{STREAMS, read, write};
use hewn_kernels::op::matmul::{Input, Product, matmul};

/// Shares that a part of a layer has: those in what it reads, of what it gives in the streams, of the streams in each other.
const SHARES: usize = (2 + STREAMS) * STREAMS;

impl Forward<'_, '_> {
    /// Makes every stream the embedding.
    pub(super) fn fill_streams(&mut self) {
        let (dim, n) = (self.model.config().dim, self.n);
        self.lap.op(Op::AltUp, || Cost::elements(n, dim, 1 + STREAMS, 0));
        let (x, streams) = (&self.s.x, &mut self.s.hyper.streams[..n * STREAMS * dim]);
        self.crew.rows(streams, dim, n >= SPLIT, |_, i, stream| {
            stream.copy_from_slice(&x[i / STREAMS * dim..][..dim]);
        });
    }

    /// `x` = the mixture of the streams that a part reads; `shares` keeps what [`write_mixture`](Self::write_mixture) needs.
    pub(super) fn read_mixture(&mut self, w: &MixedShares, at: impl Fn() -> String) -> Result<(), EngineError> {
        let Some(h) = self.model.config().hyper else { return Ok(()) };
        self.share_products(w, at)?;
        let shares = &mut self.s.hyper.shares[..self.n * SHARES];
        self.crew.rows(shares, SHARES, self.n >= SPLIT, |_, _, row| make_shares(&h, w, row));
        self.mix_streams(SHARES);
        Ok(())
    }

    /// Joins what a part gave, `t`, with the streams.
    pub(super) fn write_mixture(&mut self) {
        let (dim, n, isa) = (self.model.config().dim, self.n, self.crew.isa());
        self.lap.op(Op::AltUp, || Cost::elements(n, dim, 1 + 2 * STREAMS, STREAMS * (1 + STREAMS)));
        let s = &mut *self.s;
        let (t, shares) = (&s.t, &s.hyper.shares);
        self.crew.rows(&mut s.hyper.streams[..n * STREAMS * dim], STREAMS * dim, n >= SPLIT, |_, r, streams| {
            let [_, give, mix @ ..] = shares[r * SHARES..][..SHARES].as_chunks::<STREAMS>().0 else { return };
            let mix = mix.as_flattened().first_chunk().expect("a share of each stream in each");
            write(isa, streams, give, mix, &t[r * dim..][..dim]);
        });
    }

    /// `x` = the mixture that is left in the end, of the rows in `wanted` only.
    pub(super) fn leave_streams(&mut self, wanted: &[usize]) -> Result<(), EngineError> {
        let (Some(h), Some(w)) = (self.model.config().hyper, &self.model.weights().hyper) else { return Ok(()) };
        let width = STREAMS * self.model.config().dim;
        // Rows only move towards the front, so nothing is overwritten before it is read.
        for (to, &from) in wanted.iter().enumerate() {
            self.s.hyper.streams.copy_within(from * width..(from + 1) * width, to * width);
        }
        self.n = wanted.len();
        match &w.head {
            Some(head) => {
                self.share_products(head, || "after the last layer".into())?;
                for row in self.s.hyper.shares[..self.n * STREAMS].chunks_exact_mut(STREAMS) {
                    row.iter_mut()
                        .zip(&head.base)
                        .for_each(|(v, base)| *v = sigmoid(*v * head.scale[0] + base) + h.eps);
                }
            }
            None => self.s.hyper.shares[..self.n * STREAMS].fill(1.0 / STREAMS as f32),
        }
        self.mix_streams(STREAMS);
        Ok(())
    }

    /// `shares` (`[rows, rows of the matrix]`) = the matrix times all streams of a row, normed as one.
    fn share_products(&mut self, w: &MixedShares, at: impl Fn() -> String) -> Result<(), EngineError> {
        let (model, n, crew) = (self.model, self.n, self.crew);
        let Some(common) = &model.weights().hyper else { return Ok(()) };
        let (eps, width) = (model.config().eps, STREAMS * model.config().dim);
        self.lap.op(Op::AltUp, || {
            let mut all = Cost::products(n, &[w.w.view(model.gguf())]);
            all += Cost { rows: 0, ..norm_cost(n, width, Some(&common.norm)) };
            all
        });
        let s = &mut *self.s;
        let (streams, flat) = (&s.hyper.streams, &mut s.hyper.flat[..n * width]);
        crew.rows(flat, width, n >= SPLIT, |_, r, flat| {
            flat.copy_from_slice(&streams[r * width..][..width]);
            norm(crew.isa(), flat, &common.norm, eps);
        });
        quantize_rows(crew, w.w.is_quant(), flat, width, &mut s.blocks, at)?;
        let x = Input { floats: flat, blocks: blocks_of(&s.blocks, n, width) };
        let out = &mut s.hyper.shares[..n * w.w.rows];
        matmul(crew, n, &mut [Product { w: w.w.view(model.gguf()), x, out }]);
        Ok(())
    }

    /// `x` = the streams with the first of each row's `stride` shares.
    fn mix_streams(&mut self, stride: usize) {
        let (dim, n, isa) = (self.model.config().dim, self.n, self.crew.isa());
        self.lap.op(Op::AltUp, || Cost::elements(n, dim, 1 + STREAMS, STREAMS));
        let s = &mut *self.s;
        let (streams, shares) = (&s.hyper.streams, &s.hyper.shares);
        self.crew.rows(&mut s.x[..n * dim], dim, n >= SPLIT, |_, r, x| {
            let share = shares[r * stride..].first_chunk().expect("a share of each stream");
            read(isa, &streams[r * STREAMS * dim..][..STREAMS * dim], share, x);
        });
    }
}

/// Turns what a row's shares are made of into them: plain f32.
fn make_shares(h: &Hyper, w: &MixedShares, row: &mut [f32]) {
    let each = row.iter_mut().zip(&w.base).enumerate();
    each.for_each(|(i, (v, base))| *v = *v * w.scale[(i / STREAMS).min(2)] + base);
    let (read, rest) = row.split_at_mut(STREAMS);
    let (give, mix) = rest.split_at_mut(STREAMS);
    read.iter_mut().for_each(|v| *v = sigmoid(*v) + h.eps);
    give.iter_mut().for_each(|v| *v = 2.0 * sigmoid(*v));
    balance(h, mix);
}

/// Makes the shares of the streams in each other (`[from, to]`) positive, and to sum to 1 from either side, nearly
/// (Sinkhorn and Knopp).
fn balance(h: &Hyper, mix: &mut [f32]) {
    for from in mix.chunks_exact_mut(STREAMS) {
        let top = from.iter().fold(f32::NEG_INFINITY, |m, v| m.max(*v));
        from.iter_mut().for_each(|v| *v = libm::expf(*v - top));
        let sum: f32 = from.iter().sum();
        from.iter_mut().for_each(|v| *v = *v / sum + h.eps);
    }
    for i in 0..h.iterations {
        if i > 0 {
            for from in mix.chunks_exact_mut(STREAMS) {
                let sum = from.iter().sum::<f32>() + h.eps;
                from.iter_mut().for_each(|v| *v /= sum);
            }
        }
        for to in 0..STREAMS {
            let sum = mix.iter().skip(to).step_by(STREAMS).sum::<f32>() + h.eps;
            mix.iter_mut().skip(to).step_by(STREAMS).for_each(|v| *v /= sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_sum_to_one_from_both_sides() {
        let mut mix: Vec<f32> = (0..STREAMS * STREAMS).map(|i| ((i * 7) % 5) as f32 * 0.6 - 1.0).collect();
        balance(&Hyper { iterations: 20, eps: 1e-6 }, &mut mix);
        for i in 0..STREAMS {
            let from: f32 = mix[i * STREAMS..][..STREAMS].iter().sum();
            let to: f32 = mix.iter().skip(i).step_by(STREAMS).sum();
            assert!((from - 1.0).abs() < 1e-4 && (to - 1.0).abs() < 1e-4, "{from} {to}");
        }
        assert!(mix.iter().all(|v| *v > 0.0));
    }
}
