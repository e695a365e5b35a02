//! Up to six rows against one tile, in registers: each key and value is read and widened once for all of them.
//!
//! On the side, what is read a little later is fetched into the second cache, line for line: the nearest one waits for so
//! few lines at a time that it would halve the speed at which a long context is read.
//!
//! The loops over positions are kept plain: there are few products to each, and what an iterator that skips and a loop over
//! a changing number of lines added was as much work again (AVX2, in cache: attention took 1.8 times as long).

use super::blocks::Scaled;
use super::weights::Weights;
use super::{Block, Call};
use crate::format::SUB;
use crate::isa::{Isa, Kernel, each};
use crate::kv::{Elem, LINE, TILE, blocks};
use crate::math::exp;
use crate::op::quantize::ActBlock;

/// Where the result of a tile goes.
pub(super) enum State<'a> {
    /// Merged with those of the tiles before, row by row.
    Running {
        /// `[rows, v_pad]`
        o: &'a mut [f32],
        /// `[rows]`
        max: &'a mut [f32],
        /// `[rows]`
        sum: &'a mut [f32],
    },
    /// On its own, for a later merge: `[rows, v_pad + 16]`, the maximum and the sum behind the values.
    Part(&'a mut [f32]),
}

/// Addresses to prefetch, turn by turn of a loop: the rest of a tile, then the next one. What a loop would read anyway where
/// nothing is to be fetched, so that it has no branch.
pub(super) struct Ahead {
    at: *const u8,
    step: usize,
    /// Turns left in this tile.
    turns: usize,
    /// Where the next one begins.
    then: *const u8,
}

impl Ahead {
    #[inline(always)]
    pub fn turn(&mut self) -> *const u8 {
        if self.turns == 0 {
            self.at = self.then;
        }
        self.turns = self.turns.wrapping_sub(1);
        let at = self.at;
        self.at = at.wrapping_add(self.step);
        at
    }
}

/// The rows of a unit against one tile.
pub(super) struct Rows<'a, E> {
    pub call: &'a Call<'a>,
    block: Block,
    head: usize,
    /// Which tile it is.
    tile: usize,
    /// `[k_dim][64]`, or as `blocks` draws them.
    pub keys: &'a [E],
    /// `[64][v_pad]`, or likewise.
    pub values: &'a [E],
    /// Where those lie in blocks, the rows, quantized: `[rows][k_pad / 32]`.
    pub queries: &'a [ActBlock],
    /// The next tile: an address to prefetch, nothing else.
    next: *const u8,
    /// Whether the prefetches are still to be made: by the first rows.
    pub fetch: bool,
}

impl<'a, E: Elem> Rows<'a, E> {
    pub fn new(
        call: &'a Call<'a>,
        block: Block,
        head: usize,
        (t, tile): (usize, &'a [E]),
        next: *const u8,
        queries: &'a [ActBlock],
    ) -> Self {
        let (keys, values) = tile.split_at(E::keys_len(&call.shape));
        Self { call, block, head, tile: t, keys, values, queries, next, fetch: true }
    }

    /// What to fetch while the tile is read from byte `from` on, `step` bytes a turn: what is [`Call::ahead`] bytes ahead of
    /// that, if anything is to be fetched.
    #[inline(always)]
    pub fn ahead(&self, fetch: bool, from: usize, step: usize) -> Ahead {
        let this = self.keys.as_ptr().cast::<u8>();
        if !fetch {
            return Ahead { at: this.wrapping_add(from), step, turns: usize::MAX, then: this };
        }
        let (at, whole) = (from + self.call.ahead, size_of_val(self.keys) + size_of_val(self.values));
        match whole.checked_sub(at) {
            None | Some(0) => {
                Ahead { at: self.next.wrapping_add(at - whole), step, turns: usize::MAX, then: self.next }
            }
            Some(left) => {
                let turns = left.div_ceil(step);
                Ahead {
                    at: this.wrapping_add(at),
                    step,
                    turns,
                    then: self.next.wrapping_add(at + turns * step - whole),
                }
            }
        }
    }

    /// Rows `rows[0]..rows[1]`, all of which see the chosen ones of positions `n[0]..n[1]` of the tile. Where keys and values lie
    /// in blocks, `scaled` is room for six rows.
    #[inline(always)]
    pub fn run<S: Isa>(
        &mut self,
        s: S,
        rows: [usize; 2],
        n: [usize; 2],
        chosen: u64,
        state: &mut State<'_>,
        scaled: &mut [Scaled],
    ) {
        let mut row = rows[0];
        while rows[1] - row >= 6 {
            self.some::<S, 6, 4, 1>(s, row, n, chosen, state, scaled);
            row += 6;
        }
        if rows[1] - row >= 4 {
            self.some::<S, 4, 4, 1>(s, row, n, chosen, state, scaled);
            row += 4;
        }
        if rows[1] - row >= 2 {
            self.some::<S, 2, 4, 2>(s, row, n, chosen, state, scaled);
            row += 2;
        }
        if rows[1] > row {
            self.some::<S, 1, 8, 4>(s, row, n, chosen, state, scaled);
        }
    }

    /// `G` rows from `row` on. As many sums as the registers hold: `MANY` or `FEW` of each row at a time.
    #[inline(always)]
    fn some<S: Isa, const G: usize, const MANY: usize, const FEW: usize>(
        &mut self,
        s: S,
        row: usize,
        n: [usize; 2],
        chosen: u64,
        state: &mut State<'_>,
        scaled: &mut [Scaled],
    ) {
        let e = &mut [[0.0f32; TILE]; G];
        if E::IN_BLOCKS {
            self.scores_of_blocks::<S, G>(s, row, e);
        } else if S::MANY {
            self.scores::<S, G, 4>(s, row, e);
        } else {
            self.scores::<S, G, FEW>(s, row, e);
        }
        let (mut m, mut l) = ([0.0f32; G], [0.0f32; G]);
        let (call, block, head, tile) = (self.call, self.block, self.head, self.tile);
        s.run(Weights { call, block, head, tile, row, n, chosen, e, max: &mut m, sum: &mut l });
        // What each row's sums so far and this tile's are multiplied with.
        let mut factors = [0.0f32; 16];
        if let State::Running { max, sum, .. } = state {
            for g in 0..G {
                let top = if m[g] > max[row + g] { m[g] } else { max[row + g] };
                (factors[g], factors[8 + g]) = (max[row + g] - top, m[g] - top);
                max[row + g] = top;
            }
            let v = exp(s, s.f_load(&factors));
            s.f_store(&mut factors, v);
            for g in 0..G {
                sum[row + g] = l[g].mul_add(factors[8 + g], sum[row + g] * factors[g]);
            }
        } else if let State::Part(part) = state {
            let (len, v_pad) = (self.call.part_len(), self.call.shape.v_pad());
            for g in 0..G {
                part[(row + g) * len + v_pad..][..2].copy_from_slice(&[m[g], l[g]]);
            }
        }
        let step = if S::MANY { MANY } else { FEW } * 16;
        let v_pad = self.call.shape.v_pad();
        let mut c = 0;
        while v_pad - c >= step {
            if S::MANY {
                s.run(Channels::<E, G, MANY> { rows: self, row, n, c, e, factors: &factors, state, scaled });
            } else {
                s.run(Channels::<E, G, FEW> { rows: self, row, n, c, e, factors: &factors, state, scaled });
            }
            c += step;
        }
        while c < v_pad {
            s.run(Channels::<E, G, 1> { rows: self, row, n, c, e, factors: &factors, state, scaled });
            c += 16;
        }
        self.fetch = false;
    }

    #[inline(always)]
    fn scores<S: Isa, const G: usize, const L: usize>(&self, s: S, row: usize, e: &mut [[f32; TILE]; G]) {
        let (call, k_dim, group) = (self.call, self.call.shape.k_dim, self.call.group());
        let mut q = [&call.q[..0]; G];
        for g in 0..G {
            let (query, head) = (self.block.first + (row + g) / group, self.head * group + (row + g) % group);
            q[g] = &call.q[(query * call.heads + head) * k_dim..][..k_dim];
        }
        for i in (0..TILE).step_by(16 * L) {
            let mut acc = [[s.f_splat(0.0); L]; G];
            let mut ahead = self.ahead(self.fetch && i == 0, 0, TILE * size_of::<E>());
            for (d, k) in self.keys.as_chunks::<TILE>().0.iter().enumerate() {
                let line = ahead.turn();
                for at in (0..TILE * size_of::<E>()).step_by(LINE) {
                    s.prefetch_far(line.wrapping_add(at));
                }
                let mut lanes = [s.f_splat(0.0); L];
                each!(L, j => { lanes[j] = E::load(s, k[i + 16 * j..].first_chunk().expect("16 of 64")); });
                each!(G, g => {
                    let q = s.f_splat(q[g][d]);
                    each!(L, j => { acc[g][j] = s.f_fma(q, lanes[j], acc[g][j]); });
                });
            }
            each!(G, g => {
                each!(L, j => {
                    let out = e[g][i + 16 * j..].first_chunk_mut().expect("16 of 64");
                    s.f_store(out, s.f_mul(acc[g][j], s.f_splat(call.rules.scale)));
                });
            });
        }
    }
}

/// The weighted values of channels `c..c + 16 L` of `G` rows, merged or stored.
///
/// A kernel of its own, because in a function with less around it the compiler keeps all sums in registers; inlined into
/// the loops above it kept them in memory, at half the speed.
struct Channels<'r, 'a, 's, E, const G: usize, const L: usize> {
    rows: &'r Rows<'a, E>,
    row: usize,
    n: [usize; 2],
    c: usize,
    /// The weights of the tile's positions.
    e: &'r [[f32; TILE]; G],
    scaled: &'r mut [Scaled],
    /// What each row's sums so far are multiplied with, and from 8 on what this tile's are.
    factors: &'r [f32; 16],
    state: &'r mut State<'s>,
}

impl<E: Elem, const G: usize, const L: usize> Kernel for Channels<'_, '_, '_, E, G, L> {
    type Out = ();

    #[inline(always)]
    fn call<S: Isa>(self, s: S) {
        let Self { rows, row, n: [from, to], c, e, scaled, factors, state } = self;
        let v_pad = rows.call.shape.v_pad();
        let mut acc = [[s.f_splat(0.0); L]; G];
        let (row_bytes, width) = (v_pad * size_of::<E>(), 16 * L * size_of::<E>());
        // Each pass over the positions fetches the lines of its own channels; where two share them, the first does.
        let fetch = rows.fetch && (c * size_of::<E>()).is_multiple_of(LINE);
        let (mut values, mut at) = (rows.values, size_of_val(rows.keys) + from * row_bytes + c * size_of::<E>());
        if E::IN_BLOCKS {
            rows.scale(s, e, [c / SUB, L.div_ceil(2)], scaled);
            let of = blocks::values(&rows.call.shape, bytemuck::cast_slice(rows.values));
            values = bytemuck::cast_slice(of.rows);
            at += size_of_val(of.scales);
        }
        let scaled: &[Scaled] = scaled;
        let mut ahead = rows.ahead(fetch, at, row_bytes);
        for (p, v) in (from..to).zip(values[from * v_pad..to * v_pad].chunks_exact(v_pad)) {
            let line = ahead.turn();
            for at in (0..width).step_by(LINE) {
                s.prefetch_far(line.wrapping_add(at));
            }
            let v = &v[c..].as_chunks::<16>().0[..L];
            let mut lanes = [s.f_splat(0.0); L];
            each!(L, j => { lanes[j] = E::load(s, &v[j]); });
            each!(G, g => {
                let mut w = s.f_splat(if E::IN_BLOCKS { scaled[g][0][p] } else { e[g][p] });
                each!(L, j => {
                    if E::IN_BLOCKS && j > 0 && j.is_multiple_of(2) {
                        w = s.f_splat(scaled[g][j / 2][p]);
                    }
                    acc[g][j] = s.f_fma(w, lanes[j], acc[g][j]);
                });
            });
        }
        match state {
            State::Running { o, .. } => {
                each!(G, g => {
                    let (keep, add) = (s.f_splat(factors[g]), s.f_splat(factors[8 + g]));
                    let o = &mut o[(row + g) * v_pad + c..].as_chunks_mut::<16>().0[..L];
                    each!(L, j => {
                        let v = s.f_fma(acc[g][j], add, s.f_mul(s.f_load(&o[j]), keep));
                        s.f_store(&mut o[j], v);
                    });
                });
            }
            State::Part(part) => {
                let part_len = rows.call.part_len();
                each!(G, g => {
                    let o = &mut part[(row + g) * part_len + c..].as_chunks_mut::<16>().0[..L];
                    each!(L, j => { s.f_store(&mut o[j], acc[g][j]); });
                });
            }
        }
    }
}
