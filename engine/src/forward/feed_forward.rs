//! The dense feed-forward part.

use super::{Forward, SPLIT, Source, blocks_of, foresee, norm, norm_cost};
use crate::error::EngineError;
use crate::record::{Cost, Op};
use crate::weights::{Gated, Linear, MatrixRef};
use hewn_kernels::CpuIsa;
use hewn_kernels::format::SUB;
use hewn_kernels::op::activation::{Activation, activate, add, gate as gate_with};
use hewn_kernels::op::cut_off::cut_off;
use hewn_kernels::op::matmul::{Gate, Input, Product, gated_matmul};
use hewn_kernels::op::quantize::{ActBlock, quantize};
use std::sync::atomic::{AtomicBool, Ordering};

impl Forward<'_, '_> {
    /// `t = Down(act(Gate h) * Up h)`, or `t = Down(act(Up h))` without a gate.
    pub(super) fn dense(&mut self, i: usize, w: &Gated) -> Result<(), EngineError> {
        self.quantize_h(&w.first(), || format!("before the feed-forward part of layer {i}"))?;
        let then = self.after_ff(i);
        let at = || format!("in the feed-forward part of layer {i}");
        let (cut, kind) = (self.model.config().cut_off(i), self.model.config().activation(i));
        // What an adapter adds comes before the activation, and is made of floats.
        let times = self.times();
        let inside = w.gate.iter().chain([&w.up]).any(|l| times.adapts(&l.w));
        let behind = times.adapts(&w.down.w);
        // A single row gains nothing by it, and where a row is cut off or adapted all of it must be there.
        if let Some(gate) = w.fused().filter(|_| self.n > 1 && cut.is_none() && !inside && !behind) {
            self.fused(kind, gate, w, at)?;
            return self.project(Source::Fused, &w.down, &then, at);
        }
        self.gate_up(w);
        if let Some(deviations) = cut {
            self.cut_gates(w, deviations);
        }
        if self.n == 1 && w.down.w.is_quant() && w.before_down.is_none() && !behind {
            self.activate_row(kind, w, at)?;
            return self.project(Source::Fused, &w.down, &then, at);
        }
        self.activate(kind, w);
        self.project(Source::FeedForward, &w.down, &then, at)
    }

    /// `inner = quantize(act(Gate h) * Up h)`
    fn fused(
        &mut self,
        activation: Activation,
        gate: &MatrixRef,
        w: &Gated,
        at: impl Fn() -> String,
    ) -> Result<(), EngineError> {
        let (c, n, crew) = (self.model.config(), self.n, self.crew);
        let (ff, gguf) = (w.up.w.rows, self.model.gguf());
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
    pub(super) fn activated(&mut self, kind: Activation, w: &Gated) {
        self.gate_up(w);
        self.activate(kind, w);
    }

    /// `gate = Gate h`, `up = Up h`; without a gate, `gate = Up h`.
    fn gate_up(&mut self, w: &Gated) {
        let (c, n, crew, times) = (self.model.config(), self.n, self.crew, self.times());
        let (ff, gguf) = (w.up.w.rows, self.model.gguf());
        let s = &mut *self.s;
        let x = Input { floats: &s.h[..n * c.dim], blocks: blocks_of(&s.blocks, n, c.dim) };
        let (out, up) = (&mut s.gate[..n * ff], &mut s.up[..n * ff]);
        let then: [&MatrixRef; 1] = [&w.down.w];
        self.lap.op(Op::GateUpProduct, || times.cost(n, w.first()));
        foresee(crew, n, self.model, &then);
        let Some(gated) = &w.gate else {
            return times.one(n, &w.up.w, x, out, &mut s.low);
        };
        let up = Product { w: w.up.w.view(gguf), x, out: up };
        let gate = Product { w: gated.w.view(gguf), x, out };
        times.all(n, [&gated.w, &w.up.w], &mut [gate, up], &mut s.low);
    }

    /// `gate = max(gate - cut, 0)`, row by row.
    fn cut_gates(&mut self, w: &Gated, deviations: f32) {
        let (n, crew, ff) = (self.n, self.crew, w.up.w.rows);
        self.lap.op(Op::Activation, || Cost::elements(n, ff, 4, 5));
        crew.rows(&mut self.s.gate[..n * ff], ff, n >= SPLIT, |_, _, row| cut_off(crew.isa(), row, deviations));
    }

    /// `gate = act(gate) * up`, or `gate = act(gate)` without a gate, row by row.
    fn activate(&mut self, kind: Activation, w: &Gated) {
        let (n, crew, ff) = (self.n, self.crew, w.up.w.rows);
        self.lap.op(Op::Activation, || activation_cost(n, ff, w.gate.is_some()));
        let rows = self.s.gate[..n * ff].chunks_mut(ff.max(1)).zip(self.s.up[..n * ff].chunks_mut(ff.max(1)));
        let mut rows: Vec<_> = rows.collect();
        crew.rows(&mut rows, 1, n >= SPLIT, |_, _, rows| {
            rows.iter_mut().for_each(|(gate, up)| activate_part(crew.isa(), kind, w, 0, gate, up));
        });
        if let Some(with) = &w.before_down {
            let eps = self.model.config().eps;
            self.lap.op(Op::Norm, || norm_cost(n, ff, Some(with)));
            crew.rows(&mut self.s.gate[..n * ff], ff, n >= SPLIT, |_, _, row| norm(crew.isa(), row, with, eps));
        }
    }

    /// `inner = quantize(act(gate) * up)` of a single row, in parts: most of the time goes into fetching what other
    /// cores have computed, which they can do at the same time.
    fn activate_row(&mut self, kind: Activation, w: &Gated, at: impl Fn() -> String) -> Result<(), EngineError> {
        let (crew, ff) = (self.crew, w.up.w.rows);
        self.lap.op(Op::Activation, || {
            let mut all = activation_cost(1, ff, w.gate.is_some());
            all += Cost { rows: 0, ..Cost::quantize(1, ff) };
            all
        });
        let part = ff.div_ceil(crew.threads() * 2).next_multiple_of(SUB).max(PART);
        let s = &mut *self.s;
        let values = s.gate[..ff].chunks_mut(part).zip(s.up[..ff].chunks_mut(part));
        let mut parts: Vec<_> = values.zip(s.inner[..ff / SUB].chunks_mut(part / SUB)).collect();
        let bad = AtomicBool::new(false);
        crew.rows(&mut parts, 1, true, |_, i, parts| {
            for ((gate, up), blocks) in parts {
                activate_part(crew.isa(), kind, w, i * part, gate, up);
                if quantize(crew.isa(), 1, gate, blocks).is_err() {
                    bad.store(true, Ordering::Relaxed);
                }
            }
        });
        if bad.into_inner() { Err(EngineError::NonFinite { at: at() }) } else { Ok(()) }
    }
}

/// Values of a row that are worth a thread's while.
const PART: usize = 256;

/// Biases and activation of a part of a row, which begins at value `from`.
fn activate_part(isa: CpuIsa, kind: Activation, w: &Gated, from: usize, gate: &mut [f32], up: &mut [f32]) {
    let bias = |linear: &Linear, part: &mut [f32]| {
        if let Some(b) = &linear.bias {
            add(part, &b[from..][..part.len()]);
        }
    };
    let Some(gated) = &w.gate else {
        bias(&w.up, gate);
        return activate(isa, kind, gate);
    };
    bias(gated, gate);
    bias(&w.up, up);
    gate_with(isa, kind, gate, up);
}

/// The exponential is a polynomial; with the division some 20 instructions.
fn activation_cost(rows: usize, width: usize, gated: bool) -> Cost {
    Cost::elements(rows, width, 2 + usize::from(gated), 20)
}
