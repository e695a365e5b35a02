//! One KV head and one block of queries, tile by tile.

use super::blocks::Scaled;
use super::rows::{Rows, State};
use super::{Block, Call, Place};
use crate::format::SUB;
use crate::isa::{Isa, Kernel};
use crate::kv::{Elem, TILE, Tile, blocks};
use crate::op::quantize::ActBlock;
use crate::team::SendPtr;

/// Tiles `span` of a unit; see [`Call::unit`].
pub(super) struct Unit<'a, E> {
    pub call: &'a Call<'a>,
    pub tiles: &'a [Tile<E>],
    /// Of the second cache, where there is one.
    pub far: &'a [Tile<E>],
    pub block: Block,
    pub head: usize,
    pub span: [usize; 2],
    pub parts: Option<SendPtr<f32>>,
    /// `[rows, v_pad + 2]` without `parts`, else nothing.
    pub scratch: &'a mut [f32],
    /// `[rows, k_pad / 32]` where keys and values lie in blocks, else nothing.
    pub queries: &'a mut [ActBlock],
}

/// Head `head` of a tile of one of two caches, where that is there.
#[inline(always)]
fn tile_of<'a, E: Elem>(call: &Call<'_>, caches: [&'a [Tile<E>]; 2], at: Place, head: usize) -> Option<&'a [E]> {
    let len = E::head_len(&call.shape);
    caches[usize::from(at.far)].get(at.tile)?.get(head * len..(head + 1) * len)
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
        let queries = self.queries;
        for (row, blocks) in queries.chunks_exact_mut((shape.k_pad() / SUB).max(1)).enumerate() {
            let (query, head) = (block.first + row / group, self.head * group + row % group);
            let q = &call.q[(query * call.heads + head) * shape.k_dim..][..shape.k_dim];
            for (q, block) in q.chunks(SUB).zip(blocks) {
                *block = blocks::quantized(s, q);
            }
        }
        let mut scaled = if E::IN_BLOCKS { Some([[[0.0; TILE]; 4]; 6]) } else { None };
        let scaled: &mut [Scaled] = scaled.as_mut().map_or(&mut [], |s| s);
        let (choosing, caches) = (call.choosing(block), [self.tiles, self.far]);
        for t in self.span[0]..self.span[1] {
            let at = call.place(block, t);
            let tile = tile_of(call, caches, at, self.head).expect("the cache holds it");
            // What is read next: the same head of the next tile, where there is one.
            let next = tile_of(call, caches, call.place(block, t + 1), self.head).unwrap_or(tile);
            let mut state = match self.parts {
                None => State::Running { o: &mut *o, max: &mut *max, sum: &mut *sum },
                Some(parts) => {
                    let len = rows * call.part_len();
                    // SAFETY: the caller's buffer holds the parts of all tiles of this unit, and only this span has
                    // those of tile `t`.
                    State::Part(unsafe { std::slice::from_raw_parts_mut(parts.get().add(t * len), len) })
                }
            };
            let mut work = Rows::new(call, block, self.head, (at.tile, tile), next.as_ptr().cast(), queries);
            let [first, last] = [block.first, block.first + block.count - 1].map(|query| call.within(query, at));
            if !choosing && first == last {
                // Those between see the same, as no query of a block sees from or up to an earlier position than one before it.
                if first[0] < first[1] {
                    work.run(s, [0, rows], first, u64::MAX, &mut state, scaled);
                }
            } else {
                // Where the queries themselves are, and at a window's other end, each sees another part of the tile.
                for j in 0..block.count {
                    let [from, to] = call.within(block.first + j, at);
                    if from < to && (!choosing || call.sees(block.first + j, self.head, at)) {
                        let chosen = call.chosen(block.first + j, self.head, at);
                        work.run(s, [j * group, (j + 1) * group], [from, to], chosen, &mut state, scaled);
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
