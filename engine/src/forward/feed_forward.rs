//! The dense feed-forward part.

use super::{Forward, SPLIT, Source, bias, blocks_of, foresee};
use crate::error::EngineError;
use crate::record::{Cost, Op};
use crate::weights::{Gated, MatrixRef};
use hewn_kernels::op::activation::{activate, gate};
use hewn_kernels::op::matmul::{Gate, Input, Product, gated_matmul, matmul};
use hewn_kernels::op::quantize::ActBlock;

impl Forward<'_, '_> {
    /// `t = Down(act(Gate h) * Up h)`, or `t = Down(act(Up h))` without a gate.
    pub(super) fn dense(&mut self, i: usize, w: &Gated) -> Result<(), EngineError> {
        self.quantize_h(&w.first(), || format!("before the feed-forward part of layer {i}"))?;
        let then = self.after_layer(i);
        let at = || format!("in the feed-forward part of layer {i}");
        // A single row gains nothing by it.
        if let Some(gate) = w.fused().filter(|_| self.n > 1) {
            self.fused(gate, w, at)?;
            return self.project(Source::Fused, &w.down, &then, at);
        }
        self.activated(w);
        self.project(Source::FeedForward, &w.down, &then, at)
    }

    /// `inner = quantize(act(Gate h) * Up h)`
    fn fused(&mut self, gate: &MatrixRef, w: &Gated, at: impl Fn() -> String) -> Result<(), EngineError> {
        let (c, n, crew) = (self.model.config(), self.n, self.crew);
        let (ff, activation, gguf) = (w.up.w.rows, c.arch.activation, self.model.gguf());
        let s = &mut *self.s;
        let x = Input { floats: &s.h[..n * c.dim], blocks: blocks_of(&s.blocks, n, c.dim) };
        let gate = Gate { gate: gate.view(gguf), up: w.up.w.view(gguf), x, activation };
        self.lap.op(Op::GateUpProduct, || {
            let mut all = Cost::products(n, &[gate.gate, gate.up]);
            // The same rows; what is between stays in caches, and only the blocks are written.
            let blocks = (n * ff / 32 * size_of::<ActBlock>()) as u64;
            all += Cost { rows: 0, activation_bytes: 0, ..activation_cost(n, ff, true) };
            all += Cost { rows: 0, activation_bytes: blocks, ..Cost::quantize(n, ff) };
            all
        });
        foresee(crew, n, self.model, &[&w.down.w]);
        gated_matmul(crew, n, &gate, &mut s.inner[..n * ff / 32]).map_err(|_| EngineError::NonFinite { at: at() })
    }

    /// `gate = act(Gate h) * Up h`, or `gate = act(Up h)` without a gate; `h` is quantized where that is needed.
    pub(super) fn activated(&mut self, w: &Gated) {
        let (c, n, crew) = (self.model.config(), self.n, self.crew);
        let (ff, kind, gguf) = (w.up.w.rows, c.arch.activation, self.model.gguf());
        let s = &mut *self.s;
        let x = Input { floats: &s.h[..n * c.dim], blocks: blocks_of(&s.blocks, n, c.dim) };
        let (out, up) = (&mut s.gate[..n * ff], &mut s.up[..n * ff]);
        let then: [&MatrixRef; 1] = [&w.down.w];
        self.lap.op(Op::GateUpProduct, || {
            let views: Vec<_> = w.first().into_iter().map(|m| m.view(gguf)).collect();
            Cost::products(n, &views)
        });
        foresee(crew, n, self.model, &then);
        let activation = || activation_cost(n, ff, w.gate.is_some());
        let Some(gated) = &w.gate else {
            matmul(crew, n, &mut [Product { w: w.up.w.view(gguf), x, out: &mut *out }]);
            self.lap.op(Op::Activation, activation);
            crew.rows(out, ff, n >= SPLIT, |_, _, row| {
                bias(&w.up, row);
                activate(crew.isa(), kind, row);
            });
            return;
        };
        matmul(
            crew,
            n,
            &mut [
                Product { w: gated.w.view(gguf), x, out: &mut *out },
                Product { w: w.up.w.view(gguf), x, out: &mut *up },
            ],
        );
        self.lap.op(Op::Activation, activation);
        if w.up.bias.is_some() {
            crew.rows(up, ff, n >= SPLIT, |_, _, row| bias(&w.up, row));
        }
        crew.rows(out, ff, n >= SPLIT, |_, r, row| {
            bias(gated, row);
            gate(crew.isa(), kind, row, &up[r * ff..][..ff]);
        });
    }
}

/// The exponential is a polynomial; with the division some 20 instructions.
fn activation_cost(rows: usize, width: usize, gated: bool) -> Cost {
    Cost::elements(rows, width, 2 + usize::from(gated), 20)
}
