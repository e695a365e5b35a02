//! What scores of a tile become: weights of its positions.

use super::{Block, Call};
use crate::isa::{Isa, Kernel};
use crate::kv::TILE;
use crate::math::exp;
use crate::op::soft_cap::cap;

/// Turns the scores of a few rows into weights.
///
/// First the maxima of all rows, then the weights of all: a weight waits for its row's maximum, a chain of a hundred cycles
/// that other rows' work fills only where it comes next (row by row attention took 3 % longer).
///
/// A kernel of its own: inlined into what calls it, all this would be there once for each number of rows, and for every type
/// of elements. The call makes no difference in time.
pub(super) struct Weights<'a, 'c> {
    pub call: &'c Call<'c>,
    pub block: Block,
    pub head: usize,
    /// Which tile it is, and the first row of the unit.
    pub tile: usize,
    pub row: usize,
    /// They see the chosen ones of positions `n[0]..n[1]`.
    pub n: [usize; 2],
    pub chosen: u64,
    /// Of each row the scores, then the weights.
    pub e: &'a mut [[f32; TILE]],
    /// Where its maximum and the sum of its weights go.
    pub max: &'a mut [f32],
    pub sum: &'a mut [f32],
}

impl Kernel for Weights<'_, '_> {
    type Out = ();

    #[inline(always)]
    fn call<S: Isa>(mut self, s: S) {
        for g in 0..self.e.len() {
            self.max[g] = self.settle(s, g);
        }
        for (e, (max, sum)) in self.e.iter_mut().zip(self.max.iter().zip(self.sum)) {
            *sum = weigh(s, e, *max);
        }
    }
}

impl Weights<'_, '_> {
    /// Makes of row `g`'s products its scores, those of positions that it does not see minus infinity; gives the greatest.
    #[inline(always)]
    fn settle<S: Isa>(&mut self, s: S, g: usize) -> f32 {
        let Self { call, block, head, tile, n, chosen, .. } = *self;
        let (row, e) = (self.row + g, &mut self.e[g]);
        if let Some(bound) = call.rules.cap {
            for e in e.as_chunks_mut::<16>().0 {
                let v = cap(s, s.f_load(e), bound);
                s.f_store(e, v);
            }
        }
        let factor = call.factor(block, row);
        if factor != 1.0 {
            for e in e.as_chunks_mut::<16>().0 {
                let v = s.f_mul(s.f_load(e), s.f_splat(factor));
                s.f_store(e, v);
            }
        }
        if let Some((slope, from)) = call.slope(block, head, row, tile) {
            lean(s, e, slope, from);
        }
        if chosen != u64::MAX {
            for (i, e) in e.iter_mut().enumerate() {
                if chosen >> i & 1 == 0 {
                    *e = f32::NEG_INFINITY;
                }
            }
        }
        e[..n[0]].fill(f32::NEG_INFINITY);
        e[n[1]..].fill(f32::NEG_INFINITY);
        let mut top = s.f_load(&e.as_chunks().0[0]);
        for r in &e.as_chunks().0[1..] {
            top = s.f_max(top, s.f_load(r));
        }
        s.f_top(top)
    }
}

/// Takes from each score its distance times the slope; `from` is where the first one is from the row's own.
#[inline(always)]
fn lean<S: Isa>(s: S, e: &mut [f32; TILE], slope: f32, from: f32) {
    const STEPS: [f32; 16] = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0, 15.0];
    let (steps, slope, zero) = (s.f_load(&STEPS), s.f_splat(slope), s.f_splat(0.0));
    let mut from = from;
    for e in e.as_chunks_mut::<16>().0 {
        let away = s.f_add(s.f_splat(from), steps);
        let v = s.f_fma(slope, s.f_min(away, s.f_sub(zero, away)), s.f_load(e));
        s.f_store(e, v);
        from += 16.0;
    }
}

/// Turns scores into `exp(score - max)`; returns their sum.
#[inline(always)]
fn weigh<S: Isa>(s: S, e: &mut [f32; TILE], max: f32) -> f32 {
    let mut sum = s.f_splat(0.0);
    for r in e.as_chunks_mut::<16>().0 {
        let v = exp(s, s.f_sub(s.f_load(r), s.f_splat(max)));
        sum = s.f_add(sum, v);
        s.f_store(r, v);
    }
    s.f_sum(sum)
}
