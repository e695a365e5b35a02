//! The feed-forward part of a layer.

use super::{Forward, SPLIT, Source, bias, blocks_of};
use crate::error::EngineError;
use crate::weights::LayerWeights;
use hewn_kernels::op::activation::silu_gate;
use hewn_kernels::op::matmul::{Input, Product, expect, matmul};

impl Forward<'_> {
    /// `x += Down(silu(Gate h) * Up h)` with `h = norm(x)`.
    pub(super) fn feed_forward_part(&mut self, i: usize, l: &LayerWeights) -> Result<(), EngineError> {
        let (c, n, crew) = (self.model.config(), self.n, self.crew);
        self.norm(&l.ffn_norm);
        self.quantize_h(&[&l.gate.w, &l.up.w], || format!("before the feed-forward part of layer {i}"))?;
        let s = &mut *self.s;
        let x = Input { floats: &s.h[..n * c.dim], blocks: blocks_of(&s.blocks, n, c.dim) };
        let (gate, up) = (&mut s.gate[..n * c.ff], &mut s.up[..n * c.ff]);
        let gguf = self.model.gguf();
        expect(crew, n, &[l.down.w.view(gguf)]);
        matmul(
            crew,
            n,
            &mut [
                Product { w: l.gate.w.view(gguf), x, out: &mut *gate },
                Product { w: l.up.w.view(gguf), x, out: &mut *up },
            ],
        );
        crew.rows(gate, c.ff, n >= SPLIT, |_, r, gate| {
            bias(&l.gate, gate);
            silu_gate(crew.isa(), gate, &up[r * c.ff..][..c.ff]);
        });
        let (gguf, weights) = (self.model.gguf(), self.model.weights());
        let then = match weights.layers.get(i + 1) {
            Some(l) => vec![l.q.w.view(gguf), l.k.w.view(gguf), l.v.w.view(gguf)],
            None => vec![weights.output.view(gguf)],
        };
        self.project(Source::FeedForward, &l.down, &then, || format!("in the feed-forward part of layer {i}"))
    }
}
