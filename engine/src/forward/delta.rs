//! A gated delta net: a running state in place of keys and values.

use super::running::{starts, states, take};
use super::{Forward, SPLIT, Segment, Source, blocks_of, foresee, norm};
use crate::config::RecurrentPart;
use crate::error::EngineError;
use crate::record::{Cost, Op};
use crate::weights::{DeltaGates, DeltaNet};
use hewn_kernels::CpuIsa;
use hewn_kernels::op::activation::{Activation, activate, add, gate, multiply};
use hewn_kernels::op::convolution::{Convolution, Then, convolve};
use hewn_kernels::op::delta::{DeltaShape, delta_rule};
use hewn_kernels::op::elementary::{exp, softplus};
use hewn_kernels::op::matmul::{Input, Product};

impl Forward<'_, '_> {
    /// `t = O(norm(delta_rule(convolve(QKV h), gates)) * silu(Z h))`.
    pub(super) fn delta_net(
        &mut self,
        i: usize,
        w: &DeltaNet,
        segments: &mut [Segment<'_>],
    ) -> Result<(), EngineError> {
        let (c, n, crew) = (self.model.config(), self.n, self.crew);
        let Some(RecurrentPart::Delta(shape)) = c.recurrent_of(i) else { return Ok(()) };
        let (channels, width, v_heads) = (shape.channels(), shape.width(), shape.v_heads);
        self.delta_products(i, w)?;
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
            float: (n * shape.operations()) as u64,
            ..Cost::elements(n, channels + width, 1, 0)
        });
        let (opening, gates) = (&s.running.opening, &mut s.running.gates[..n * 2 * v_heads]);
        crew.rows(gates, 2 * v_heads, n >= SPLIT, |_, r, row| {
            open(crew.isa(), w, shape, opening, [n, r], row);
        });
        let out = &mut s.running.raw[..n * shape.padded_width()];
        delta_rule(crew, shape, &mut parts, qkv, gates, out);

        self.lap.op(Op::Norm, || Cost::elements(n, width, 5, 22));
        let starts = starts(&parts);
        let out = &*out;
        let rows = s.att[..n * width].chunks_mut(width).zip(s.up[..n * width].chunks_mut(width));
        let mut rows: Vec<_> = rows.collect();
        crew.rows(&mut rows, 1, n >= SPLIT, |_, r, pair| {
            let ([first, rows], padded) = (starts[r], shape.padded_width());
            for (given, z) in pair {
                shape.gather(&out[first * padded..][..rows * padded], rows, r - first, given);
                given.chunks_mut(shape.dim).for_each(|head| norm(crew.isa(), head, &w.norm, c.eps));
                gate(crew.isa(), Activation::Silu, z, given);
            }
        });
        let then = self.after_attention(i);
        self.project(Source::Gated, &w.o, &then, || format!("after the delta net of layer {i}"))
    }

    /// `raw = QKV h`, `up = Z h`, and what the gates are made of.
    fn delta_products(&mut self, i: usize, w: &DeltaNet) -> Result<(), EngineError> {
        let (c, n, crew, gguf) = (self.model.config(), self.n, self.crew, self.model.gguf());
        let times = self.times();
        let mut all = vec![&w.qkv, &w.z];
        all.extend(w.gates.all());
        self.quantize_h(&all, || format!("before the delta net of layer {i}"))?;
        let s = &mut *self.s;
        let x = Input { floats: &s.h[..n * c.dim], blocks: blocks_of(&s.blocks, n, c.dim) };
        let mut products = Vec::with_capacity(all.len());
        let (mut raw, mut z, mut opening) = (&mut s.running.raw[..], &mut s.up[..], &mut s.running.opening[..]);
        products.push(Product { w: w.qkv.view(gguf), x, out: take(&mut raw, n * w.qkv.rows) });
        products.push(Product { w: w.z.view(gguf), x, out: take(&mut z, n * w.z.rows) });
        for w in w.gates.all() {
            products.push(Product { w: w.view(gguf), x, out: take(&mut opening, n * w.rows) });
        }
        self.lap.op(Op::QkvProduct, || times.cost(n, all.iter().copied()));
        foresee(crew, n, self.model, &[&w.o.w]);
        times.all(n, all.iter().copied(), &mut products, &mut s.low);
        Ok(())
    }
}

/// What each head keeps of its matrix, `e^(rate * softplus(alpha + bias))`, and how much it corrects, the logistic function
/// of beta: row `r` of `n` (`[2, v_heads]`) from what the products with [`DeltaGates`] gave.
fn open(isa: CpuIsa, w: &DeltaNet, shape: &DeltaShape, opening: &[f32], [n, r]: [usize; 2], gates: &mut [f32]) {
    let v_heads = shape.v_heads;
    let (decays, betas) = gates.split_at_mut(v_heads);
    for (h, (decay, beta)) in decays.iter_mut().zip(&mut *betas).enumerate() {
        let (b, a) = match &w.gates {
            DeltaGates::Apart { .. } => (opening[r * v_heads + h], opening[(n + r) * v_heads + h]),
            DeltaGates::Fused(_) => {
                let sharing = v_heads / shape.k_heads;
                let at = r * 2 * v_heads + h / sharing * 2 * sharing + h % sharing;
                (opening[at], opening[at + sharing])
            }
        };
        (*decay, *beta) = (a, b);
    }
    add(decays, &w.step_bias);
    softplus(isa, decays);
    multiply(decays, &w.rate);
    exp(isa, decays);
    activate(isa, Activation::Logistic, betas);
}
