//! A first Mamba's state space: a running state in place of keys and values.

use super::running::{starts, states};
use super::{Forward, SPLIT, Segment, Source, blocks_of, foresee, norm, quantize_rows};
use crate::config::RecurrentPart;
use crate::error::EngineError;
use crate::record::{Cost, Op};
use crate::weights::Selective;
use hewn_kernels::op::activation::{Activation, add, gate};
use hewn_kernels::op::convolution::{Convolution, Then, convolve};
use hewn_kernels::op::elementary::softplus;
use hewn_kernels::op::matmul::{Input, Product};
use hewn_kernels::op::selective::{Selection, selective_scan};

/// Steps that a thread makes at a time.
const PART: usize = 256;

impl Forward<'_, '_> {
    /// `t = O(scan(v, Step norm(..), norm(k), norm(q)) * silu(Z h))`, where `v = convolve(V h)` tells the others.
    pub(super) fn selective_space(
        &mut self,
        i: usize,
        w: &Selective,
        segments: &mut [Segment<'_>],
    ) -> Result<(), EngineError> {
        let (c, n, crew, gguf) = (self.model.config(), self.n, self.crew, self.model.gguf());
        let times = self.times();
        let Some(RecurrentPart::Selective(part)) = c.recurrent_of(i) else { return Ok(()) };
        let (shape, rank) = (&part.shape, part.rank);
        let (width, k_dim) = (shape.width, shape.k_dim);
        let at = || format!("in the state space of layer {i}");
        let [v, z] = &w.input;
        self.quantize_h(&[v, z], || format!("before the state space of layer {i}"))?;
        let s = &mut *self.s;
        let x = Input { floats: &s.h[..n * c.dim], blocks: blocks_of(&s.blocks, n, c.dim) };
        let (raw, values) = (&mut s.running.raw[..], &mut s.gate[..n * width]);
        self.lap.op(Op::QkvProduct, || times.cost(n, [v, z]));
        foresee(crew, n, self.model, &[&w.select]);
        let (value, gates) = (&mut raw[..n * width], &mut s.up[..n * width]);
        let mut products = [(v, value), (z, gates)].map(|(w, out)| Product { w: w.view(gguf), x, out });
        times.all(n, [v, z], &mut products, &mut s.low);

        let mut parts = states(segments, i)?;
        // A product and a sum a tap, and an exponential.
        self.lap.op(Op::Convolution, || Cost {
            weight_bytes: (w.conv.len() * size_of::<f32>()) as u64,
            ..Cost::elements(n, width, 2, shape.taps + 20)
        });
        let conv = Convolution { taps: shape.taps, weights: &w.conv, bias: w.conv_bias.as_deref(), then: Then::Silu };
        convolve(crew, &conv, &mut parts, &raw[..n * width], values);

        // What the values tell: `[rows, rank + 2 * k_dim]`.
        let told = rank + 2 * k_dim;
        if w.select.is_quant() {
            self.lap.op(Op::Quantize, || Cost::quantize(n, width));
        }
        quantize_rows(crew, w.select.is_quant(), values, width, &mut s.blocks, at)?;
        let x = Input { floats: values, blocks: blocks_of(&s.blocks, n, width) };
        let selected = &mut s.running.opening[..n * told];
        self.lap.op(Op::QkvProduct, || times.cost(n, [&w.select]));
        foresee(crew, n, self.model, &[&w.step.w]);
        times.one(n, &w.select, x, selected, &mut s.low);
        self.lap.op(Op::Norm, || Cost::elements(n, told, 2, 2));
        let (keys, ranks) = (&mut s.running.gates[..n * 2 * k_dim], &mut raw[..n * rank]);
        for (r, row) in selected.chunks_exact_mut(told).enumerate() {
            if let Some(norms) = &w.norms {
                let (step, keys) = row.split_at_mut(rank);
                let (key, query) = keys.split_at_mut(k_dim);
                [step, key, query].into_iter().zip(norms).for_each(|(x, with)| norm(crew.isa(), x, with, c.eps));
            }
            let (step, both) = row.split_at(rank);
            ranks[r * rank..][..rank].copy_from_slice(step);
            keys[r * 2 * k_dim..][..2 * k_dim].copy_from_slice(both);
        }

        // The lengths of steps.
        if w.step.w.is_quant() {
            self.lap.op(Op::Quantize, || Cost::quantize(n, rank));
        }
        quantize_rows(crew, w.step.w.is_quant(), ranks, rank, &mut s.blocks, at)?;
        let x = Input { floats: ranks, blocks: blocks_of(&s.blocks, n, rank) };
        let steps = &mut s.att[..n * width];
        self.lap.op(Op::QkvProduct, || times.cost(n, [&w.step.w]));
        foresee(crew, n, self.model, &[&w.o.w]);
        times.one(n, &w.step.w, x, steps, &mut s.low);
        self.lap.op(Op::Activation, || Cost::elements(n, width, 2, 30));
        let bias = w.step.bias.as_deref().unwrap_or(&[]);
        let mut pieces: Vec<_> =
            steps.chunks_mut(width).flat_map(|row| row.chunks_mut(PART).zip(bias.chunks(PART))).collect();
        crew.rows(&mut pieces, 1, true, |_, _, pieces| {
            for (steps, bias) in pieces {
                add(steps, bias);
                softplus(crew.isa(), steps);
            }
        });

        self.lap.op(Op::Scan, || Cost {
            kv_bytes: (2 * parts.len() * shape.state().bytes()) as u64,
            float: (n * shape.operations()) as u64,
            ..Cost::elements(n, 3 * width, 1, 0)
        });
        let out = &mut raw[..n * shape.padded_width()];
        selective_scan(crew, shape, &mut parts, Selection { values, steps, keys, rates: &w.rates, skip: &w.skip }, out);

        self.lap.op(Op::Activation, || Cost::elements(n, width, 4, 20));
        let (starts, out, padded) = (starts(&parts), &*out, shape.padded_width());
        let rows = steps.chunks_mut(width).zip(s.up[..n * width].chunks_mut(width));
        let mut rows: Vec<_> = rows.collect();
        crew.rows(&mut rows, 1, n >= SPLIT, |_, r, pair| {
            let ([first, rows], isa) = (starts[r], crew.isa());
            for (given, z) in pair {
                shape.gather(&out[first * padded..][..rows * padded], rows, r - first, given);
                gate(isa, Activation::Silu, z, given);
            }
        });
        let then = self.after_attention(i);
        self.project(Source::Gated, &w.o, &then, || format!("after the state space of layer {i}"))
    }
}
