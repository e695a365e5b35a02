//! Experts that run on fewer channels than the stream has: to these and back.

use super::{Forward, SPLIT, blocks_of, norm, norm_cost, quantize_rows};
use crate::error::EngineError;
use crate::record::Op;
use crate::weights::{ExpertStacks, Narrow};
use hewn_kernels::op::matmul::Input;

impl Forward<'_, '_> {
    /// `experts.narrow[0] = Down h`, in blocks too where the experts take those.
    pub(super) fn narrow(&mut self, i: usize, w: &Narrow, then: &ExpertStacks) -> Result<(), EngineError> {
        let (dim, n, crew, times) = (self.model.config().dim, self.n, self.crew, self.times());
        let (width, quant) = (w.down.rows, then.first().any(|m| m.is_quant()));
        self.lap.op(Op::ExpertGateUp, || times.cost(n, [&w.down]));
        let s = &mut *self.s;
        let x = Input { floats: &s.h[..n * dim], blocks: blocks_of(&s.blocks, n, dim) };
        let out = &mut s.experts.narrow[0][..n * width];
        times.one(n, &w.down, x, out, &mut s.low);
        self.lap_quantize(quant, n, width);
        let s = &mut self.s.experts;
        let at = || format!("before the experts of layer {i}");
        quantize_rows(crew, quant, &s.narrow[0][..n * width], width, &mut s.narrow_blocks, at)
    }

    /// `t = Up norm(experts.narrow[1])`
    pub(super) fn widen(&mut self, i: usize, w: &Narrow) -> Result<(), EngineError> {
        let (c, n, crew, times) = (self.model.config(), self.n, self.crew, self.times());
        let width = w.up.cols;
        if let Some(with) = &w.norm {
            self.lap.op(Op::Norm, || norm_cost(n, width, Some(with)));
            let sum = &mut self.s.experts.narrow[1][..n * width];
            crew.rows(sum, width, n >= SPLIT, |_, _, row| norm(crew.isa(), row, with, c.eps));
        }
        self.lap_quantize(w.up.is_quant(), n, width);
        let s = &mut *self.s;
        let sum = &s.experts.narrow[1][..n * width];
        let at = || format!("behind the experts of layer {i}");
        quantize_rows(crew, w.up.is_quant(), sum, width, &mut s.experts.narrow_blocks, at)?;
        self.lap.op(Op::ExpertDown, || times.cost(n, [&w.up]));
        let x = Input { floats: sum, blocks: blocks_of(&s.experts.narrow_blocks, n, width) };
        times.one(n, &w.up, x, &mut s.t[..n * c.dim], &mut s.low);
        Ok(())
    }
}
