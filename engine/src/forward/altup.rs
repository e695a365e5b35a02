//! Several residual streams (AltUp), of which the layers compute on the first, and the low-rank part beside the attention
//! (LAuReL).

use super::{Forward, SPLIT, blocks_of, foresee, norm, norm_cost, quantize_rows};
use crate::error::EngineError;
use crate::record::{Cost, Op};
use crate::weights::{AltUp, AttentionWeights, Laurel, LayerAltUp, LayerWeights, MatrixRef, Norm};
use hewn_kernels::op::activation::{add, scale};
use hewn_kernels::op::altup::{Router, STREAMS, correct, match_length, predict};
use hewn_kernels::op::matmul::{Input, Product, matmul};
use std::f32::consts::FRAC_1_SQRT_2;

impl Forward<'_, '_> {
    /// `streams = [x, Apart_1 x, Apart_2 x, ..]`, all as long as `x`, which holds the embeddings.
    pub(super) fn part_streams(&mut self, w: &AltUp) -> Result<(), EngineError> {
        let (dim, n, crew, gguf) = (self.model.config().dim, self.n, self.crew, self.model.gguf());
        self.lap_quantize(w.apart.is_quant(), n, dim);
        let s = &mut *self.s;
        let (x, streams) = (&s.x[..n * dim], &mut s.altup.streams[..n * STREAMS * dim]);
        quantize_rows(crew, w.apart.is_quant(), x, dim, &mut s.blocks, || "among the embeddings".into())?;
        let input = Input { floats: x, blocks: blocks_of(&s.blocks, n, dim) };
        let then = self.model.weights().layers.first().map_or_else(Vec::new, LayerWeights::first);
        for i in 0..STREAMS - 1 {
            let (part, t) = (w.apart.view(gguf, i), &mut s.t[..n * dim]);
            self.lap.op(Op::AltUp, || {
                let mut all = Cost::products(n, &[part]);
                // Two lengths, and a product.
                all += Cost { rows: 0, ..Cost::elements(n, dim, 3, 3) };
                all
            });
            foresee(crew, n, self.model, if i + 2 == STREAMS { &then } else { &[] });
            matmul(crew, n, &mut [Product { w: part, x: input, out: &mut *t }]);
            crew.rows(streams, STREAMS * dim, n >= SPLIT, |_, r, streams| {
                let x = &x[r * dim..][..dim];
                if i == 0 {
                    streams[..dim].copy_from_slice(x);
                }
                let stream = &mut streams[(i + 1) * dim..][..dim];
                stream.copy_from_slice(&t[r * dim..][..dim]);
                match_length(crew.isa(), stream, x);
            });
        }
        Ok(())
    }

    /// The streams as they should be after the layer; `x` is the first of them.
    pub(super) fn predict_streams(&mut self, w: &LayerAltUp) {
        let (c, n, crew) = (self.model.config(), self.n, self.crew);
        // The router's norm and products, then each stream by each.
        let weights = w.router.len() + w.router_norm.w.len() + w.predict.len();
        self.lap.op(Op::AltUp, || streams_cost(n, c.dim, weights, 3 + STREAMS + STREAMS * STREAMS));
        let router = Router { norm: &w.router_norm.w, eps: c.eps, w: &w.router };
        self.rows_of_streams(|streams, x| predict(crew.isa(), &router, &w.predict, streams, x));
    }

    /// Corrects them by what the layer made of `x`, which becomes what the layer's input is gated with.
    pub(super) fn correct_streams(&mut self, w: &LayerAltUp) {
        let (c, n, crew) = (self.model.config(), self.n, self.crew);
        // The router was read before the layer.
        self.lap.op(Op::AltUp, || streams_cost(n, c.dim, w.correct.len() + w.scale.len(), 5 + 2 * STREAMS));
        let router = Router { norm: &w.router_norm.w, eps: c.eps, w: &w.router };
        self.rows_of_streams(|streams, x| correct(crew.isa(), &router, &w.correct, streams, x, &w.scale));
    }

    fn rows_of_streams(&mut self, f: impl Fn(&mut [f32], &mut [f32]) + Sync) {
        let (dim, n) = (self.model.config().dim, self.n);
        let s = &mut *self.s;
        let streams = s.altup.streams[..n * STREAMS * dim].chunks_exact_mut(STREAMS * dim);
        let mut rows: Vec<_> = streams.zip(s.x.chunks_exact_mut(dim)).collect();
        self.crew.rows(&mut rows, 1, n >= SPLIT, |_, _, rows| rows.iter_mut().for_each(|(streams, x)| f(streams, x)));
    }

    /// `streams[1..] += norm(t)`
    pub(super) fn join_other_streams(&mut self, with: &Norm) {
        self.norm_part(with);
        let (dim, n) = (self.model.config().dim, self.n);
        self.lap.op(Op::AltUp, || Cost::elements(n, dim, 1 + 2 * (STREAMS - 1), STREAMS - 1));
        let t = &self.s.t;
        let streams = &mut self.s.altup.streams[..n * STREAMS * dim];
        self.crew.rows(streams, STREAMS * dim, n >= SPLIT, |_, r, streams| {
            streams[dim..].chunks_exact_mut(dim).for_each(|stream| add(stream, &t[r * dim..][..dim]));
        });
    }

    /// `x` = the mean of `streams[0]` and of `Together_i streams[i]`, all as long as the first; of the rows in `wanted` only.
    pub(super) fn join_streams(&mut self, w: &AltUp, wanted: &[usize]) -> Result<(), EngineError> {
        let (model, crew) = (self.model, self.crew);
        let (dim, gguf, n) = (model.config().dim, model.gguf(), wanted.len());
        self.n = n;
        for i in 0..STREAMS {
            let to = if i == 0 { &mut self.s.x } else { &mut self.s.h };
            for (to, &from) in to.chunks_exact_mut(dim).zip(wanted) {
                to.copy_from_slice(&self.s.altup.streams[(from * STREAMS + i) * dim..][..dim]);
            }
            if i == 0 {
                continue;
            }
            self.quantize_h_if(w.together.is_quant(), || "after the last layer".into())?;
            let part = w.together.view(gguf, i - 1);
            self.lap.op(Op::AltUp, || {
                let mut all = Cost::products(n, &[part]);
                // Two lengths, a product, a sum.
                all += Cost { rows: 0, ..Cost::elements(n, dim, 4, 4) };
                all
            });
            let s = &mut *self.s;
            let (t, streams) = (&mut s.t[..n * dim], &s.altup.streams);
            let x = Input { floats: &s.h[..n * dim], blocks: blocks_of(&s.blocks, n, dim) };
            let output: Vec<&MatrixRef> = model.weights().output.iter().filter(|_| i + 1 == STREAMS).collect();
            foresee(crew, n, model, &output);
            matmul(crew, n, &mut [Product { w: part, x, out: &mut *t }]);
            let mut rows: Vec<_> = s.x.chunks_exact_mut(dim).zip(t.chunks_exact_mut(dim)).zip(wanted).collect();
            crew.rows(&mut rows, 1, n >= SPLIT, |_, _, rows| {
                for ((x, t), from) in rows {
                    match_length(crew.isa(), t, &streams[**from * STREAMS * dim..][..dim]);
                    add(x, t);
                    if i + 1 == STREAMS {
                        scale(x, 1.0 / STREAMS as f32);
                    }
                }
            });
        }
        Ok(())
    }

    /// `beside = norm(Up Down h) + h`
    pub(super) fn laurel(&mut self, i: usize, w: &Laurel, then: Option<&AttentionWeights>) -> Result<(), EngineError> {
        let (c, n, crew, times) = (self.model.config(), self.n, self.crew, self.times());
        let at = || format!("beside the attention of layer {i}");
        self.quantize_h(&[&w.down], at)?;
        let s = &mut *self.s;
        let (dim, rank) = (c.dim, w.down.rows);
        let inner = &mut s.altup.rank[..n * rank];
        let x = Input { floats: &s.h[..n * dim], blocks: blocks_of(&s.blocks, n, dim) };
        self.lap.op(Op::Laurel, || times.cost(n, [&w.down]));
        foresee(crew, n, self.model, &[&w.up]);
        times.one(n, &w.down, x, inner, &mut s.low);

        self.lap_quantize(w.up.is_quant(), n, rank);
        let s = &mut *self.s;
        let inner = &s.altup.rank[..n * rank];
        quantize_rows(crew, w.up.is_quant(), inner, rank, &mut s.blocks, at)?;
        let x = Input { floats: inner, blocks: blocks_of(&s.blocks, n, rank) };
        let h = &s.h;
        self.lap.op(Op::Laurel, || {
            let mut all = times.cost(n, [&w.up]);
            all += Cost { rows: 0, ..norm_cost(n, dim, Some(&w.norm)) };
            all
        });
        let beside = &mut s.altup.beside[..n * dim];
        foresee(crew, n, self.model, &then.map_or_else(Vec::new, AttentionWeights::first));
        times.one(n, &w.up, x, beside, &mut s.low);
        crew.rows(beside, dim, n >= SPLIT, |_, r, row| {
            norm(crew.isa(), row, &w.norm, c.eps);
            add(row, &h[r * dim..][..dim]);
        });
        Ok(())
    }

    /// `x = (x + beside) / sqrt(2)`
    pub(super) fn join_laurel(&mut self) {
        let (dim, n) = (self.model.config().dim, self.n);
        self.lap.op(Op::Laurel, || Cost::elements(n, dim, 3, 2));
        let beside = &self.s.altup.beside;
        self.crew.rows(&mut self.s.x[..n * dim], dim, n >= SPLIT, |_, r, x| {
            add(x, &beside[r * dim..][..dim]);
            scale(x, FRAC_1_SQRT_2);
        });
    }
}

/// What mixing all streams costs: each is read and written, and so is `x`.
fn streams_cost(rows: usize, dim: usize, weights: usize, float: usize) -> Cost {
    let weight_bytes = (weights * size_of::<f32>()) as u64;
    Cost { weight_bytes, ..Cost::elements(rows, dim, 2 * STREAMS + 2, float) }
}
