//! Two streams that two stacks of layers replace in turns (hierarchical reasoning models): each runs on their sum, and what it
//! gives, normed, is the low stream or the high one from then on.

use super::{Forward, SPLIT, norm, norm_cost};
use crate::config::Cycles;
use crate::record::{Cost, Op};
use crate::weights::Norm;
use hewn_kernels::op::activation::add;

impl Forward<'_, '_> {
    /// The high stream = `x`, which holds the embeddings; the low one is the same for each row.
    pub(super) fn begin_cycles(&mut self, low: &[f32]) {
        let (dim, n) = (self.model.config().dim, self.n);
        self.lap.op(Op::AltUp, || Cost::elements(n, dim, 3, 0));
        let s = &mut *self.s;
        let x = &s.x;
        self.crew.rows(&mut s.cycles[..n * 2 * dim], 2 * dim, n >= SPLIT, |_, r, both| {
            both[..dim].copy_from_slice(&x[r * dim..][..dim]);
            both[dim..].copy_from_slice(low);
        });
    }

    /// Before layer `i`: where a stack begins, `x` = the sum of both streams, after what the stack before gave has replaced one.
    pub(super) fn cycle(&mut self, i: usize, cycles: &Cycles, with: &Norm) {
        if !i.is_multiple_of(cycles.stack) {
            return;
        }
        let (c, n, crew) = (self.model.config(), self.n, self.crew);
        let (dim, given) = (c.dim, (i / cycles.stack).checked_sub(1));
        self.lap.op(Op::AltUp, || norm_cost(n, dim, Some(with)));
        let s = &mut *self.s;
        let rows = s.x[..n * dim].chunks_exact_mut(dim).zip(s.cycles.chunks_exact_mut(2 * dim));
        let mut rows: Vec<_> = rows.collect();
        crew.rows(&mut rows, 1, n >= SPLIT, |_, _, rows| {
            for (x, both) in rows {
                if let Some(run) = given {
                    norm(crew.isa(), x, with, c.eps);
                    let at = if cycles.is_high(run) { 0 } else { dim };
                    both[at..at + dim].copy_from_slice(x);
                }
                x.copy_from_slice(&both[..dim]);
                add(x, &both[dim..]);
            }
        });
    }
}
