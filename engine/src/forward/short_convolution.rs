//! A short convolution between two gates, in place of attention.

use super::running::states;
use super::{Forward, SPLIT, Segment, Source, blocks_of, foresee};
use crate::error::EngineError;
use crate::record::{Cost, Op};
use crate::weights::ShortConvolution;
use hewn_kernels::op::activation::multiply;
use hewn_kernels::op::convolution::{Convolution, Then, convolve};
use hewn_kernels::op::matmul::{Input, Product};

impl Forward<'_, '_> {
    /// `t = O(convolve(B h * X h) * C h)`
    pub(super) fn short_convolution(
        &mut self,
        i: usize,
        w: &ShortConvolution,
        segments: &mut [Segment<'_>],
    ) -> Result<(), EngineError> {
        let (c, n, crew, gguf) = (self.model.config(), self.n, self.crew, self.model.gguf());
        let times = self.times();
        self.quantize_h(&w.input.each_ref(), || format!("before the convolution of layer {i}"))?;
        let mut parts = states(segments, i)?;
        let s = &mut *self.s;
        let dim = c.dim;
        let x = Input { floats: &s.h[..n * dim], blocks: blocks_of(&s.blocks, n, dim) };
        let (before, after, raw) = (&mut s.gate[..n * dim], &mut s.up[..n * dim], &mut s.running.raw[..n * dim]);
        let views = w.input.each_ref().map(|w| w.view(gguf));
        self.lap.op(Op::QkvProduct, || times.cost(n, &w.input));
        foresee(crew, n, self.model, &[&w.o.w]);
        let [b, c, v] = views;
        let product = |w, out| Product { w, x, out };
        let mut products = [product(b, &mut *before), product(c, &mut *after), product(v, &mut *raw)];
        times.all(n, &w.input, &mut products, &mut s.low);

        let held: usize = parts.iter().map(|p| p.state.shape().bytes()).sum();
        self.lap.op(Op::Convolution, || Cost {
            weight_bytes: (w.conv.len() * size_of::<f32>()) as u64,
            kv_bytes: 2 * held as u64,
            ..Cost::elements(n, dim, 4, w.taps + 2)
        });
        let before = &*before;
        crew.rows(&mut *raw, dim, n >= SPLIT, |_, r, row| multiply(row, &before[r * dim..][..dim]));
        let conv = Convolution { taps: w.taps, weights: &w.conv, bias: None, then: Then::Times(after) };
        convolve(crew, &conv, &mut parts, raw, &mut s.att[..n * dim]);
        let then = self.after_attention(i);
        self.project(Source::Attention, &w.o, &then, || format!("after the convolution of layer {i}"))
    }
}
