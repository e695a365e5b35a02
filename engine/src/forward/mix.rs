//! What RWKV's parts have in common: they read the row before, too, some of the difference to it for each of their products.

use super::{Forward, SPLIT, Segment, quantize_rows};
use crate::error::EngineError;
use crate::model::Model;
use crate::record::{Cost, Lap, Op};
use crate::weights::ChannelMix;
use hewn_kernels::Crew;
use hewn_kernels::op::activation::{Activation, gate};
use hewn_kernels::op::matmul::{Input, Matrix, Product, matmul};
use hewn_kernels::op::quantize::ActBlock;

/// A product among several.
pub(super) struct Job<'a> {
    pub w: Matrix<'a>,
    /// `[rows, cols]`
    pub x: &'a [f32],
    pub out: &'a mut [f32],
}

/// Runs products of `n` rows each in one region; `blocks` has room for all inputs.
pub(super) fn products(
    crew: &Crew<'_>,
    lap: &mut Lap<'_>,
    n: usize,
    jobs: Vec<Job<'_>>,
    blocks: &mut [ActBlock],
    at: impl Fn() -> String,
) -> Result<(), EngineError> {
    let mut ready: Vec<(&[ActBlock], Job<'_>)> = Vec::with_capacity(jobs.len());
    let mut rest = blocks;
    for job in jobs {
        let width = job.w.cols();
        if !job.w.format().is_quant() {
            ready.push((&[], job));
            continue;
        }
        let same = ready.iter().find(|(blocks, r)| !blocks.is_empty() && std::ptr::eq(r.x, job.x));
        if let Some(blocks) = same.map(|(blocks, _)| *blocks) {
            ready.push((blocks, job));
            continue;
        }
        let (own, later) = rest.split_at_mut(n * width / 32);
        rest = later;
        lap.op(Op::Quantize, || Cost::quantize(n, width));
        quantize_rows(crew, true, job.x, width, own, &at)?;
        ready.push((own, job));
    }
    lap.op(Op::QkvProduct, || Cost::products(n, &ready.iter().map(|(_, job)| job.w).collect::<Vec<_>>()));
    let product = |(blocks, job)| {
        let Job { w, x, out } = job;
        Product { w, x: Input { floats: x, blocks }, out }
    };
    matmul(crew, n, &mut ready.into_iter().map(product).collect::<Vec<_>>());
    Ok(())
}

/// What the state of layer `i` kept of the row before each of the step's, or that row among those of the step.
pub(super) fn rows_before<'a>(
    segments: &'a [Segment<'_>],
    i: usize,
    h: &'a [f32],
    [from, dim]: [usize; 2],
) -> Result<Vec<&'a [f32]>, EngineError> {
    let mut before = Vec::with_capacity(h.len() / dim);
    for seg in segments.iter().filter(|seg| !seg.tokens.is_empty()) {
        let Some(Some(state)) = seg.seq.states.get(i) else { return Err(EngineError::ForeignSequence) };
        before.push(&state.last()[from..][..dim]);
        for _ in 1..seg.tokens.len() {
            before.push(&h[(before.len() - 1) * dim..][..dim]);
        }
    }
    Ok(before)
}

impl Forward<'_, '_> {
    /// `mixed_j = h + (before - h) * shares_j`, or with `learnt` `(mixed_j + shares_j)` in their place, for as many as there are
    /// shares; where the row before is kept from channel `from` on.
    pub(super) fn mix(
        &mut self,
        i: usize,
        from: usize,
        shares: &[&[f32]],
        learnt: bool,
        segments: &[Segment<'_>],
    ) -> Result<(), EngineError> {
        let (n, dim, crew) = (self.n, self.model.config().dim, self.crew);
        self.lap.op(Op::Regroup, || Cost::elements(n, dim, 2 + shares.len(), 3 * shares.len()));
        let s = &mut *self.s;
        let h = &s.h[..n * dim];
        let before = rows_before(segments, i, h, [from, dim])?;
        crew.rows(&mut s.wkv.mixed[..shares.len() * n * dim], dim, n >= SPLIT, |_, j, out| {
            let (share, r) = (shares[j / n], j % n);
            let rows = h[r * dim..][..dim].iter().zip(before[r]);
            for ((out, share), (now, before)) in out.iter_mut().zip(share).zip(rows) {
                let share = if learnt { *out + share } else { *share };
                *out = (before - now) * share + now;
            }
        });
        Ok(())
    }

    /// Keeps the last rows of `h` for those behind them, from channel `from` on.
    pub(super) fn keep_last(&mut self, i: usize, from: usize, segments: &mut [Segment<'_>]) -> Result<(), EngineError> {
        let (dim, mut row) = (self.model.config().dim, 0);
        for seg in segments.iter_mut().filter(|seg| !seg.tokens.is_empty()) {
            row += seg.tokens.len();
            let Some(Some(state)) = seg.seq.states.get_mut(i) else { return Err(EngineError::ForeignSequence) };
            state.keep(from, &self.s.h[(row - 1) * dim..][..dim]);
        }
        Ok(())
    }

    /// `t = Down(act(Up mixed))`, perhaps times the logistic function of another product.
    pub(super) fn channel_mix(
        &mut self,
        i: usize,
        w: &ChannelMix,
        segments: &mut [Segment<'_>],
    ) -> Result<(), EngineError> {
        let (n, dim, crew, model): (_, _, _, &Model) = (self.n, self.model.config().dim, self.crew, self.model);
        let shares: Vec<&[f32]> = [&w.share[..]].into_iter().chain(w.gate.as_ref().map(|(s, _)| &s[..])).collect();
        self.mix(i, dim, &shares, false, segments)?;
        self.keep_last(i, dim, segments)?;
        let s = &mut *self.s;
        let (read, gated) = s.wkv.mixed.split_at_mut(n * dim);
        s.h[..n * dim].copy_from_slice(read);
        if let Some((_, w)) = &w.gate {
            let job = Job { w: w.view(model.gguf()), x: &gated[..n * dim], out: &mut s.att[..n * dim] };
            let at = || format!("before the feed-forward part of layer {i}");
            products(crew, self.lap, n, vec![job], &mut s.wkv.blocks, at)?;
        }
        self.dense(i, &w.part)?;
        if w.gate.is_some() {
            self.lap.op(Op::Activation, || Cost::elements(n, dim, 3, 20));
            let rows = self.s.t[..n * dim].chunks_mut(dim).zip(self.s.att[..n * dim].chunks_mut(dim));
            let mut rows: Vec<_> = rows.collect();
            crew.rows(&mut rows, 1, n >= SPLIT, |_, _, rows| {
                for (t, gates) in rows {
                    gate(crew.isa(), Activation::Logistic, gates, t);
                    t.copy_from_slice(gates);
                }
            });
        }
        Ok(())
    }
}
