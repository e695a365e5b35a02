//! One KV head and one block of queries, tile by tile.

use super::rows::{Rows, State};
use super::{Block, Call};
use crate::isa::{Isa, Kernel};
use crate::kv::{Elem, TILE, Tile};
use crate::team::SendPtr;

/// Tiles `span` of a unit; see [`Call::unit`].
pub(super) struct Unit<'a, E> {
    pub call: &'a Call<'a>,
    pub tiles: &'a [Tile<E>],
    pub block: Block,
    pub head: usize,
    pub span: [usize; 2],
    pub parts: Option<SendPtr<f32>>,
    /// `[rows, v_pad + 2]` without `parts`, else nothing.
    pub scratch: &'a mut [f32],
}

impl<E: Elem> Kernel for Unit<'_, E> {
    type Out = ();

    #[inline(always)]
    fn call<S: Isa>(self, s: S) {
        let (call, block) = (self.call, self.block);
        let (shape, group) = (&call.shape, call.group());
        let rows = block.count * group;
        let (o, rest) = self.scratch.split_at_mut(if self.parts.is_some() { 0 } else { rows * shape.v_pad() });
        let (max, sum) = rest.split_at_mut(rest.len() / 2);
        o.fill(0.0);
        max.fill(f32::NEG_INFINITY);
        sum.fill(0.0);
        let seen = |j: usize| call.seen(block.first + j);
        let base = call.tiles(block)[0];
        let choosing = (0..block.count).any(|j| call.queries[block.first + j].chosen.is_some());
        for t in self.span[0]..self.span[1] {
            let tile = &self.tiles[t][self.head * shape.head_len()..][..shape.head_len()];
            // What is read next: the same head of the next tile, where there is one.
            let next =
                self.tiles.get(t + 1).filter(|n| !n.is_empty()).map_or(tile, |n| &n[self.head * shape.head_len()..]);
            let mut state = match self.parts {
                None => State::Running { o: &mut *o, max: &mut *max, sum: &mut *sum },
                Some(parts) => {
                    let len = rows * call.part_len();
                    // SAFETY: the caller's buffer holds the parts of all tiles of this unit, and only this span has
                    // those of tile `t`.
                    State::Part(unsafe { std::slice::from_raw_parts_mut(parts.get().add((t - base) * len), len) })
                }
            };
            let mut work = Rows::new(call, block, self.head, (t, tile), next.as_ptr().cast());
            if !choosing && seen(0)[1] >= (t + 1) * TILE && seen(block.count - 1)[0] <= t * TILE {
                work.run(s, [0, rows], [0, TILE], u64::MAX, &mut state);
            } else {
                // Where the queries themselves are, and at a window's other end, each sees another part of the tile.
                for j in 0..block.count {
                    let [from, to] = seen(j).map(|p| p.saturating_sub(t * TILE).min(TILE));
                    if from < to && (!choosing || call.sees(block.first + j, self.head, t)) {
                        let chosen = call.chosen(block.first + j, self.head, t);
                        work.run(s, [j * group, (j + 1) * group], [from, to], chosen, &mut state);
                    }
                }
            }
        }
        if self.parts.is_none() {
            for (row, o) in o.chunks_exact_mut(shape.v_pad()).enumerate() {
                if let Some(sink) = call.sink(self.head, row) {
                    let (all, keep) = Call::with_sink(s, sink, max[row], sum[row]);
                    sum[row] = all;
                    o.iter_mut().for_each(|o| *o *= keep);
                }
                let r = 1.0 / sum[row];
                o.iter_mut().for_each(|o| *o *= r);
                call.store(block, self.head, row, &o[..shape.v_dim]);
            }
        }
    }
}
