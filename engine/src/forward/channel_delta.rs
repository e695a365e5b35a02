//! Kimi delta attention: a running state in place of keys and values, each channel of whose keys fades by itself.

use super::running::{starts, states, take};
use super::{Forward, SPLIT, Segment, Source, blocks_of, foresee, norm, quantize_rows};
use crate::config::{ChannelDelta, RecurrentPart};
use crate::error::EngineError;
use crate::record::{Cost, Op};
use crate::weights;
use hewn_kernels::op::activation::{Activation, activate, add, gate, scale};
use hewn_kernels::op::convolution::{Convolution, Then, convolve};
use hewn_kernels::op::delta::{ChannelGates, DeltaShape, channel_delta_rule};
use hewn_kernels::op::elementary::{exp, softplus};
use hewn_kernels::op::matmul::{Input, Product};

impl Forward<'_, '_> {
    /// `t = O(norm(delta_rule(convolve(QKV h), Fade h, Beta h)) * sigmoid(Gate h))`.
    pub(super) fn channel_delta(
        &mut self,
        i: usize,
        w: &weights::ChannelDelta,
        segments: &mut [Segment<'_>],
    ) -> Result<(), EngineError> {
        let (c, n, crew) = (self.model.config(), self.n, self.crew);
        let Some(RecurrentPart::ChannelDelta(ChannelDelta { shape, least })) = c.recurrent_of(i) else { return Ok(()) };
        let (channels, width, heads) = (shape.channels(), shape.width(), shape.v_heads);
        self.channel_delta_products(i, w, shape)?;
        let mut parts = states(segments, i)?;
        let s = &mut *self.s;
        let (raw, qkv) = (&mut s.running.raw[..n * channels], &mut s.gate[..n * channels]);
        // A product and a sum a tap, and an exponential.
        self.lap.op(Op::Convolution, || Cost {
            weight_bytes: (w.conv.len() * size_of::<f32>()) as u64,
            ..Cost::elements(n, channels, 2, shape.taps + 20)
        });
        let then = Then::SiluUnits { dim: shape.dim, queries: shape.k_heads, eps: c.eps };
        let conv = Convolution { taps: shape.taps, weights: &w.conv, bias: None, then };
        convolve(crew, &conv, &mut parts, raw, qkv);

        self.lap.op(Op::DeltaRule, || Cost {
            kv_bytes: (2 * parts.len() * shape.state().bytes()) as u64,
            // The factors take three exponentials or logarithms each.
            float: (n * (shape.operations() + 60 * width)) as u64,
            ..Cost::elements(n, channels + 2 * width, 1, 0)
        });
        let (decays, betas) = s.running.gates[..n * (width + heads)].split_at_mut(n * width);
        crew.rows(decays, shape.dim, true, |_, at, head| {
            let h = at % heads;
            let bias = &w.step_bias[h * shape.dim..][..shape.dim];
            let isa = crew.isa();
            add(head, bias);
            match least {
                Some(least) => {
                    scale(head, w.rate[h]);
                    activate(isa, Activation::Logistic, head);
                    scale(head, *least);
                }
                None => {
                    softplus(isa, head);
                    scale(head, w.rate[h]);
                }
            }
            exp(isa, head);
        });
        activate(crew.isa(), Activation::Logistic, betas);
        let out = &mut s.running.raw[..n * shape.padded_width()];
        channel_delta_rule(crew, shape, &mut parts, qkv, ChannelGates { decays, betas }, out);

        self.lap.op(Op::Norm, || Cost::elements(n, width, 5, 22));
        let (starts, out, padded) = (starts(&parts), &*out, shape.padded_width());
        let rows = s.att[..n * width].chunks_mut(width).zip(s.up[..n * width].chunks_mut(width));
        let mut rows: Vec<_> = rows.collect();
        crew.rows(&mut rows, 1, n >= SPLIT, |_, r, pair| {
            let [first, rows] = starts[r];
            for (given, z) in pair {
                shape.gather(&out[first * padded..][..rows * padded], rows, r - first, given);
                given.chunks_mut(shape.dim).for_each(|head| norm(crew.isa(), head, &w.norm, c.eps));
                gate(crew.isa(), Activation::Logistic, z, given);
            }
        });
        let then = self.after_attention(i);
        self.project(Source::Gated, &w.o, &then, || format!("after the delta net of layer {i}"))
    }

    /// `raw = QKV h` (`[rows, 3, width]`), `gates` = what factors (`[rows, width]`) and corrections (`[rows, heads]`) are made
    /// of, `up = Gate h`.
    fn channel_delta_products(
        &mut self,
        i: usize,
        w: &weights::ChannelDelta,
        shape: &DeltaShape,
    ) -> Result<(), EngineError> {
        let (c, n, crew, gguf) = (self.model.config(), self.n, self.crew, self.model.gguf());
        let times = self.times();
        let (width, heads) = (shape.width(), shape.v_heads);
        let first = w.first();
        let at = || format!("before the delta net of layer {i}");
        self.quantize_h(&first, at)?;
        let s = &mut *self.s;
        let x = Input { floats: &s.h[..n * c.dim], blocks: blocks_of(&s.blocks, n, c.dim) };
        let (mut sides, mut inside) = (&mut s.gate[..n * 3 * width], &mut s.running.opening[..n * 2 * shape.dim]);
        let (fades, betas) = s.running.gates[..n * (width + heads)].split_at_mut(n * width);
        let [q, k, v] = [(); 3].map(|()| take(&mut sides, n * width));
        // What goes through a second matrix waits for it.
        let fade = if w.fade.second.is_some() { take(&mut inside, n * shape.dim) } else { fades };
        let gate = if w.gate.second.is_some() { inside } else { &mut s.up[..n * width] };
        let outs = [q, k, v, fade, gate, betas];
        let mut products: Vec<_> = first
            .iter()
            .zip(outs)
            .map(|(w, out)| Product { w: w.view(gguf), x, out: &mut out[..n * w.rows] })
            .collect();
        self.lap.op(Op::QkvProduct, || times.cost(n, first.iter().copied()));
        let second: Vec<_> = w.fade.second.iter().chain(&w.gate.second).collect();
        foresee(crew, n, self.model, &second);
        times.all(n, first.iter().copied(), &mut products, &mut s.low);

        self.lap.op(Op::Regroup, || Cost::elements(n, 3 * width, 2, 0));
        let sides = &s.gate[..n * 3 * width];
        crew.rows(&mut s.running.raw[..n * 3 * width], 3 * width, n >= SPLIT, |_, r, row| {
            for (side, own) in row.chunks_exact_mut(width).enumerate() {
                own.copy_from_slice(&sides[(side * n + r) * width..][..width]);
            }
        });
        let mut inside = &s.running.opening[..];
        let outs = [&mut s.running.gates[..n * width], &mut s.up[..n * width]];
        for (second, out) in [&w.fade.second, &w.gate.second].into_iter().zip(outs) {
            let Some(w) = second else { continue };
            let (x, later) = inside.split_at(n * shape.dim);
            inside = later;
            if w.is_quant() {
                self.lap.op(Op::Quantize, || Cost::quantize(n, shape.dim));
            }
            quantize_rows(crew, w.is_quant(), x, shape.dim, &mut s.blocks, at)?;
            let x = Input { floats: x, blocks: blocks_of(&s.blocks, n, shape.dim) };
            self.lap.op(Op::QkvProduct, || times.cost(n, [w]));
            times.one(n, w, x, out, &mut s.low);
        }
        Ok(())
    }
}
