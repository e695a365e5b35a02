//! A state space of heads whose values tell keys, queries and steps (PLaMo 2): the second Mamba's rule, opened as the first's.

use super::running::{open, starts, states};
use super::{Forward, SPLIT, Segment, Source, blocks_of, foresee, norm, quantize_rows};
use crate::config::RecurrentPart;
use crate::error::EngineError;
use crate::record::{Cost, Op};
use crate::weights::ToldScan;
use hewn_kernels::op::activation::{Activation, gate};
use hewn_kernels::op::convolution::{Convolution, Then, convolve};
use hewn_kernels::op::matmul::Input;
use hewn_kernels::op::scan::{ScanGates, scan};

impl Forward<'_, '_> {
    /// `t = O(scan(v, norm(k), norm(q), Step norm(..)) * silu(Z h))`, where `v = convolve(V h)` tells the others.
    pub(super) fn told_scan(
        &mut self,
        i: usize,
        w: &ToldScan,
        segments: &mut [Segment<'_>],
    ) -> Result<(), EngineError> {
        let (c, n, crew, times) = (self.model.config(), self.n, self.crew, self.times());
        let Some(RecurrentPart::ToldScan(part)) = c.recurrent_of(i) else { return Ok(()) };
        let (shape, rank) = (&part.shape, part.rank);
        let (width, v_dim, k_dim, heads) = (shape.width(), shape.v_dim, shape.k_dim, shape.heads);
        self.told_values(i, w, width, v_dim)?;

        let mut parts = states(segments, i)?;
        let s = &mut *self.s;
        let values = &mut s.gate[..n * width];
        // A product and a sum a tap, and an exponential.
        self.lap.op(Op::Convolution, || Cost {
            weight_bytes: (w.conv.len() * size_of::<f32>()) as u64,
            ..Cost::elements(n, width, 2, shape.taps + 20)
        });
        let conv = Convolution { taps: shape.taps, weights: &w.conv, bias: None, then: Then::Silu };
        convolve(crew, &conv, &mut parts, &s.running.raw[..n * width], values);

        // What the values tell: `[rows, 2 * k_dim + rank]`.
        let (at, told) = (|| format!("in the state space of layer {i}"), 2 * k_dim + rank);
        if w.select.is_quant() {
            self.lap.op(Op::Quantize, || Cost::quantize(n, width));
        }
        quantize_rows(crew, w.select.is_quant(), values, width, &mut s.blocks, at)?;
        let x = Input { floats: values, blocks: blocks_of(&s.blocks, n, width) };
        let selected = &mut s.running.opening[..n * told];
        self.lap.op(Op::QkvProduct, || times.cost(n, [&w.select]));
        foresee(crew, n, self.model, &[&w.step]);
        times.one(n, &w.select, x, selected, &mut s.low);
        self.lap.op(Op::Norm, || Cost::elements(n, told, 2, 2));
        let ranks = &mut s.running.raw[..n * rank];
        for (row, ranks) in selected.chunks_exact_mut(told).zip(ranks.chunks_exact_mut(rank)) {
            let (key, others) = row.split_at_mut(k_dim);
            let (query, step) = others.split_at_mut(k_dim);
            ranks.copy_from_slice(step);
            [key, query, ranks].into_iter().zip(&w.norms).for_each(|(x, with)| norm(crew.isa(), x, with, c.eps));
        }

        // The lengths of steps.
        if w.step.is_quant() {
            self.lap.op(Op::Quantize, || Cost::quantize(n, rank));
        }
        quantize_rows(crew, w.step.is_quant(), ranks, rank, &mut s.blocks, at)?;
        let x = Input { floats: ranks, blocks: blocks_of(&s.blocks, n, rank) };
        let steps = &mut s.att[..n * heads];
        self.lap.op(Op::QkvProduct, || times.cost(n, [&w.step]));
        foresee(crew, n, self.model, &[&w.o.w]);
        times.one(n, &w.step, x, steps, &mut s.low);
        self.lap.op(Op::Activation, || Cost::elements(n, heads, 3, 60));
        let (steps, gates) = (&*steps, &mut s.running.gates[..n * 2 * heads]);
        crew.rows(gates, 2 * heads, n >= SPLIT, |_, r, row| {
            open(crew.isa(), &steps[r * heads..][..heads], &w.step_bias, &w.rate, row);
        });

        // Each row's values, key and query side by side.
        let (channels, values, selected) = (shape.channels(), &*values, &*selected);
        self.lap.op(Op::Regroup, || Cost::elements(n, channels, 2, 0));
        let vkq = &mut s.running.raw[..n * channels];
        crew.rows(vkq, channels, n >= SPLIT, |_, r, row| {
            row[..width].copy_from_slice(&values[r * width..][..width]);
            row[width..].copy_from_slice(&selected[r * told..][..2 * k_dim]);
        });
        self.lap.op(Op::Scan, || Cost {
            kv_bytes: (2 * parts.len() * shape.state().matrices * size_of::<f32>()) as u64,
            float: (n * shape.operations()) as u64,
            ..Cost::elements(n, channels + width, 1, 0)
        });
        let padded = shape.padded_width();
        let out = &mut s.running.opening[..n * padded];
        scan(crew, shape, &mut parts, vkq, ScanGates { gates, skip: &w.skip }, out);

        self.lap.op(Op::Activation, || Cost::elements(n, width, 4, 20));
        let (starts, out) = (starts(&parts), &*out);
        let rows = s.att[..n * width].chunks_mut(width).zip(s.up[..n * width].chunks_mut(width));
        let mut rows: Vec<_> = rows.collect();
        crew.rows(&mut rows, 1, n >= SPLIT, |_, r, pair| {
            let [first, rows] = starts[r];
            for (given, z) in pair {
                shape.gather(&out[first * padded..][..rows * padded], rows, r - first, given);
                gate(crew.isa(), Activation::Silu, z, given);
            }
        });
        let then = self.after_attention(i);
        self.project(Source::Gated, &w.o, &then, || format!("after the state space of layer {i}"))
    }

    /// `running.raw = V h`, `up = Z h`, which one matrix gives head by head.
    fn told_values(&mut self, i: usize, w: &ToldScan, width: usize, v_dim: usize) -> Result<(), EngineError> {
        let (c, n, crew, times) = (self.model.config(), self.n, self.crew, self.times());
        self.quantize_h(&[&w.input], || format!("before the state space of layer {i}"))?;
        let s = &mut *self.s;
        let x = Input { floats: &s.h[..n * c.dim], blocks: blocks_of(&s.blocks, n, c.dim) };
        let both = &mut s.gate[..n * 2 * width];
        self.lap.op(Op::QkvProduct, || times.cost(n, [&w.input]));
        foresee(crew, n, self.model, &[&w.select]);
        times.one(n, &w.input, x, both, &mut s.low);
        self.lap.op(Op::Regroup, || Cost::elements(n, 2 * width, 2, 0));
        let both = &*both;
        for (side, out) in [&mut s.up[..n * width], &mut s.running.raw[..n * width]].into_iter().enumerate() {
            crew.rows(out, width, n >= SPLIT, |_, r, row| {
                let heads = row.chunks_exact_mut(v_dim).zip(both[r * 2 * width..].chunks_exact(2 * v_dim));
                heads.for_each(|(own, both)| own.copy_from_slice(&both[side * v_dim..][..v_dim]));
            });
        }
        Ok(())
    }
}
