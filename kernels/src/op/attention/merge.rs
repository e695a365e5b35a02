//! The parts of a row's tiles, merged in order: the same operations as tile by tile, only later.

use super::{Block, Call};
use crate::isa::{Isa, Kernel};
use crate::math::exp;
use crate::team::SendPtr;

/// One row of a unit whose parts begin at `part` of `parts`.
#[derive(Clone, Copy)]
pub(super) struct Merge<'a> {
    pub call: &'a Call<'a>,
    pub parts: SendPtr<f32>,
    pub part: usize,
    pub block: Block,
    pub head: usize,
    pub row: usize,
}

/// Tiles whose factors are computed at a time, a lane each.
const LANES: usize = 16;

impl Kernel for Merge<'_> {
    type Out = ();

    #[inline(always)]
    fn call<S: Isa>(self, s: S) {
        let (call, v_pad, len) = (self.call, self.call.shape.v_pad(), self.call.part_len());
        let rows = self.block.count * call.group();
        // A later query of a block may see less of the past than the first.
        let query = self.block.first + self.row / call.group();
        let to = call.tiles(self.block);
        let part = |t: usize| {
            let at = self.part + (t * rows + self.row) * len;
            // SAFETY: the parts of this unit's rows and of all tiles that each sees were written in the region before, each `len` long,
            // and nobody writes in this one.
            unsafe { std::slice::from_raw_parts(self.parts.get().add(at), len) }
        };
        let (mut max, mut sum) = (f32::NEG_INFINITY, 0.0f32);
        let mut out = vec![0.0f32; v_pad];
        let mut next = 0;
        while next < to {
            // Of tiles of which it sees nothing there are no parts.
            let (mut tiles, mut n) = ([0usize; LANES], 0);
            while next < to && n < LANES {
                if call.sees(query, self.head, call.place(self.block, next)) {
                    tiles[n] = next;
                    n += 1;
                }
                next += 1;
            }
            let (mut keep, mut add) = ([0.0f32; LANES], [0.0f32; LANES]);
            for i in 0..n {
                let m = part(tiles[i])[v_pad];
                let top = if m > max { m } else { max };
                (keep[i], add[i]) = (max - top, m - top);
                max = top;
            }
            let (k, a) = (exp(s, s.f_load(&keep)), exp(s, s.f_load(&add)));
            s.f_store(&mut keep, k);
            s.f_store(&mut add, a);
            for i in 0..n {
                let p = part(tiles[i]);
                sum = p[v_pad + 1].mul_add(add[i], sum * keep[i]);
                let (keep, add) = (s.f_splat(keep[i]), s.f_splat(add[i]));
                for (o, p) in out.as_chunks_mut::<16>().0.iter_mut().zip(p.as_chunks::<16>().0) {
                    let v = s.f_fma(s.f_load(p), add, s.f_mul(s.f_load(o), keep));
                    s.f_store(o, v);
                }
            }
        }
        if let Some(sink) = call.sink(self.head, self.row) {
            let (all, keep) = Call::with_sink(s, sink, max, sum);
            sum = all;
            out.iter_mut().for_each(|o| *o *= keep);
        }
        let r = 1.0 / sum;
        out.iter_mut().for_each(|o| *o *= r);
        call.store(self.block, self.head, self.row, &out[..call.shape.v_dim]);
    }
}
