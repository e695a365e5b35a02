//! A state space: a running state in place of keys and values, or beside them.

use super::running::{open, starts, states};
use super::{Forward, Next, SPLIT, Segment, Source, blocks_of, foresee};
use crate::config::RecurrentPart;
use crate::error::EngineError;
use crate::record::{Cost, Op};
use crate::weights::StateSpace;
use hewn_kernels::op::activation::{Activation, gate};
use hewn_kernels::op::convolution::{Convolution, Then, convolve};
use hewn_kernels::op::matmul::{Input, Product};
use hewn_kernels::op::norm::rms_norm;
use hewn_kernels::op::scan::{ScanGates, scan};

impl Forward<'_, '_> {
    /// `t = O(norm(scan(convolve(VKQ h), gates) * silu(Z h)))`.
    pub(super) fn state_space(
        &mut self,
        i: usize,
        w: &StateSpace,
        segments: &mut [Segment<'_>],
    ) -> Result<(), EngineError> {
        let (c, n, crew) = (self.model.config(), self.n, self.crew);
        let Some(RecurrentPart::Scan(shape)) = c.recurrent_of(i) else { return Ok(()) };
        let (channels, width, heads) = (shape.channels(), shape.width(), shape.heads);
        self.space_products(i, w)?;
        let mut parts = states(segments, i)?;
        let s = &mut *self.s;
        let (raw, vkq) = (&mut s.running.raw[..n * channels], &mut s.gate[..n * channels]);
        // A product and a sum a tap, and an exponential.
        self.lap.op(Op::Convolution, || Cost {
            weight_bytes: (w.conv.len() * size_of::<f32>()) as u64,
            ..Cost::elements(n, channels, 2, shape.taps + 20)
        });
        let bias = w.conv_bias.as_deref();
        let conv = Convolution { taps: shape.taps, weights: &w.conv, bias, then: Then::Silu };
        convolve(crew, &conv, &mut parts, raw, vkq);

        self.lap.op(Op::Scan, || Cost {
            kv_bytes: (2 * parts.len() * shape.state().bytes()) as u64,
            float: (n * shape.operations()) as u64,
            ..Cost::elements(n, channels + width, 1, 0)
        });
        let (opening, gates) = (&s.running.opening, &mut s.running.gates[..n * 2 * heads]);
        crew.rows(gates, 2 * heads, n >= SPLIT, |_, r, row| {
            open(crew.isa(), &opening[r * heads..][..heads], &w.step_bias, &w.rate, row);
        });
        let out = &mut s.running.raw[..n * shape.padded_width()];
        scan(crew, shape, &mut parts, vkq, ScanGates { gates, skip: &w.skip }, out);

        self.lap.op(Op::Norm, || Cost::elements(n, width, 5, 22));
        let (starts, out, padded) = (starts(&parts), &*out, shape.padded_width());
        let rows = s.att[..n * width].chunks_mut(width).zip(s.up[..n * width].chunks_mut(width));
        let mut rows: Vec<_> = rows.collect();
        crew.rows(&mut rows, 1, n >= SPLIT, |_, r, pair| {
            let [first, rows] = starts[r];
            for (given, z) in pair {
                shape.gather(&out[first * padded..][..rows * padded], rows, r - first, given);
                gate(crew.isa(), Activation::Silu, z, given);
                if let Some(norm) = &w.norm {
                    let groups = z.chunks_mut(width / shape.key_heads).zip(norm.chunks(width / shape.key_heads));
                    groups.for_each(|(z, w)| rms_norm(crew.isa(), z, w, c.eps));
                }
            }
        });
        let attention = &self.model.weights().layers[i].attention;
        let then = attention.as_ref().map_or_else(|| self.after_attention(i), |w| Next::from(w.first()));
        self.project(Source::Gated, &w.o, &then, || format!("after the state space of layer {i}"))
    }

    /// `up = Z h`, `raw = VKQ h`, and what the lengths of steps are made of.
    fn space_products(&mut self, i: usize, w: &StateSpace) -> Result<(), EngineError> {
        let (c, n, crew, gguf) = (self.model.config(), self.n, self.crew, self.model.gguf());
        let times = self.times();
        let all = [&w.z, &w.vkq, &w.step];
        self.quantize_h(&all, || format!("before the state space of layer {i}"))?;
        let s = &mut *self.s;
        let x = Input { floats: &s.h[..n * c.dim], blocks: blocks_of(&s.blocks, n, c.dim) };
        let outs = [&mut s.up, &mut s.running.raw, &mut s.running.opening];
        let products = all.iter().zip(outs).map(|(w, out)| Product { w: w.view(gguf), x, out: &mut out[..n * w.rows] });
        let mut products: Vec<_> = products.collect();
        self.lap.op(Op::QkvProduct, || times.cost(n, all));
        foresee(crew, n, self.model, &[&w.o.w]);
        times.all(n, all, &mut products, &mut s.low);
        Ok(())
    }
}
