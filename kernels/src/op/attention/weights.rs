//! What scores of a tile become: weights of its positions.

use super::{Block, Call};
use crate::isa::{Isa, Kernel};
use crate::kv::TILE;
use crate::math::exp;
use crate::op::soft_cap::cap;

/// Turns one row's scores into weights; gives their maximum and the sum of the weights.
///
/// A kernel of its own: inlined into what calls it, all this would be there once for each row of six, four, two and one, and for
/// every type of elements. The call makes no difference in time.
pub(super) struct Weights<'a, 'c> {
    pub call: &'c Call<'c>,
    pub block: Block,
    pub head: usize,
    /// Which tile it is, and which row of the unit.
    pub tile: usize,
    pub row: usize,
    /// It sees the chosen ones of positions `n[0]..n[1]`.
    pub n: [usize; 2],
    pub chosen: u64,
    /// Scores, then weights.
    pub e: &'a mut [f32; TILE],
}

impl Kernel for Weights<'_, '_> {
    type Out = (f32, f32);

    #[inline(always)]
    fn call<S: Isa>(self, s: S) -> (f32, f32) {
        let Self { call, block, head, tile, row, n, chosen, e } = self;
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
        softmax(s, e, n)
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

/// Turns the scores `n[0]..n[1]` into `exp(score - max)` and the others into 0; returns the maximum and the sum.
#[inline(always)]
fn softmax<S: Isa>(s: S, e: &mut [f32; TILE], n: [usize; 2]) -> (f32, f32) {
    e[..n[0]].fill(f32::NEG_INFINITY);
    e[n[1]..].fill(f32::NEG_INFINITY);
    let rows = e.as_chunks_mut::<16>().0;
    let mut top = s.f_load(&rows[0]);
    for r in &rows[1..] {
        top = s.f_max(top, s.f_load(r));
    }
    let max = s.f_top(top);
    let mut sum = s.f_splat(0.0);
    for r in rows {
        let v = exp(s, s.f_sub(s.f_load(r), s.f_splat(max)));
        sum = s.f_add(sum, v);
        s.f_store(r, v);
    }
    (max, s.f_sum(sum))
}
