//! Many columns: decode weights once, to a panel of 8-bit integers in the nearest cache, and use them for all columns.
//!
//! ```text
//! pass            up to 4 pairs of tiles (128 rows) of a chunk
//!   column block  up to 512 columns, so that the sums of the pass (64 KB a pair) stay in the second cache
//!     depth       8 sub-blocks of 32 weights: the panel of a pair is 12 KB, the columns' part 512 bytes each
//!       pair      decode 2 x 16 rows x 256 weights; multiply with all columns (micro.rs), sums from and to scratch
//! ```
//!
//! For the matrix unit it is two pairs at a time: their panel still fits the nearest cache, and columns come half as
//! often from the second (measured: 7 % faster).
//!
//! Storing a sum between two depths and loading it again changes nothing, so the order of the contract is kept.

use super::Rows;
use super::direct::offset_sum;
use super::matrix::{Layout, Matrix, tile_rows};
use super::micro::Micro;
use crate::format::{Form, Lanes, Quant, SUB, TILE_ROWS, pack_tile};
use crate::isa::{Isa, Kernel, each, each_in};
use crate::op::quantize::{ActBlock, GROUP};
use crate::team::Crew;
use std::marker::PhantomData;

/// Pairs of tiles in a pass.
pub(super) const PAIRS: usize = 4;
/// Pairs in a panel for the matrix unit.
const UNIT_PAIRS: usize = 2;
/// Sub-blocks in a panel: a whole number of blocks of every format.
pub(super) const DEPTH: usize = 8;
/// Columns in a block.
pub(super) const COLUMNS: usize = 512;
const _: () = assert!(COLUMNS.is_multiple_of(GROUP));
/// Columns that take less than this stay in the second cache by themselves: then every pair runs to its end before the
/// next begins, and its weights are read in one stream.
const SMALL: usize = 512 << 10;

/// Columns from which a matrix unit pays: with fewer, the way of its sums through memory costs more than it saves.
const TILES_FROM: usize = 64;

/// Columns from which products of pairs pay: with fewer, most of a block of eight columns would be empty.
const PAIRS_FROM: usize = 6;

/// Thirty-two weights of two tiles, decoded.
#[derive(Clone, Copy, bytemuck::Zeroable, bytemuck::Pod)]
#[repr(C, align(64))]
pub(super) struct PanelSub {
    /// As [`crate::format::Lanes::w`]; as [`Isa::i_tiles`] leaves them for the matrix unit, the same after
    /// [`Isa::pairs_weights`] for products of pairs, else as stored, signed ones after [`Isa::i_signed`].
    pub w: [[[u8; 64]; 8]; 2],
    pub scale: [[f32; TILE_ROWS]; 2],
    /// Only for forms that have one.
    pub offset: [[f32; TILE_ROWS]; 2],
    /// `[tile][half]`, only for forms with halves.
    pub half: [[[f32; TILE_ROWS]; 2]; 2],
    /// `[tile]`, the factors of [`offset_sum`]; only for forms whose offset has halves.
    pub offset_half: [[[f32; TILE_ROWS]; 2]; 2],
}

impl PanelSub {
    /// [`offset_sum`] for tile `t`.
    #[inline(always)]
    pub fn offset_sum<S: Isa, F: Form>(&self, s: S, t: usize, x: &ActBlock) -> S::F {
        offset_sum::<S, F>(s, [s.f_load(&self.offset_half[t][0]), s.f_load(&self.offset_half[t][1])], x)
    }

    /// Stores a sub-block of tile `t`, for the matrix unit or products of pairs with `tiles`.
    #[inline(always)]
    fn store<S: Isa, F: Form>(&mut self, s: S, lanes: &Lanes<S>, t: usize, tiles: bool) {
        if S::PAIRS && tiles {
            each!(4, g => {
                let (a, b) = (s.i_tiles(lanes.w[2 * g], F::ZERO), s.i_tiles(lanes.w[2 * g + 1], F::ZERO));
                let [a, b] = s.pairs_weights(a, b);
                s.i_store(&mut self.w[t][2 * g], a);
                s.i_store(&mut self.w[t][2 * g + 1], b);
            });
        } else {
            each!(8, g => {
                let w = match (tiles, F::BITS) {
                    (true, _) => s.i_tiles(lanes.w[g], F::ZERO),
                    (false, 8) => s.i_signed(lanes.w[g]),
                    (false, _) => lanes.w[g],
                };
                s.i_store(&mut self.w[t][g], w);
            });
        }
        s.f_store(&mut self.scale[t], lanes.scale);
        if F::OFFSET {
            s.f_store(&mut self.offset[t], lanes.offset);
        }
        if F::HALVES {
            s.f_store(&mut self.half[t][0], lanes.half[0]);
            s.f_store(&mut self.half[t][1], lanes.half[1]);
        }
        if F::OFFSET_HALVES {
            let [low, high] = lanes.offset_half;
            s.f_store(&mut self.offset_half[t][0], s.f_sub(low, high));
            s.f_store(&mut self.offset_half[t][1], high);
        }
    }
}

/// Running sums of a pair, `[column][tile][row]`.
pub(super) type PairSums = [[f32; TILE_ROWS]; 2];

/// Where the sums of a chunk's tiles go once they are whole.
pub(super) enum Sums<'a> {
    /// To their places in the output.
    Out(Rows),
    /// They stay where they are made, `[pairs, columns]`; at most [`COLUMNS`].
    Stay(&'a mut [PairSums]),
}

/// Multiplies tiles `range[0]..range[1]` with all of `x` (the groups of `n` rows).
pub(super) fn run<Q: Quant>(
    crew: &Crew<'_>,
    worker: usize,
    w: &Matrix<'_>,
    (n, x): (usize, &[ActBlock]),
    range: [usize; 2],
    to: Sums<'_>,
) {
    let tile = DEPTH * SUB / Q::BLOCK * Q::PACKED;
    let tile = tile.next_multiple_of(64);
    let panel = UNIT_PAIRS * DEPTH * size_of::<PanelSub>();
    let sums = if let Sums::Out(_) = to { PAIRS * COLUMNS.min(n) * size_of::<PairSums>() } else { 0 };
    crew.with_scratch(worker, tile + panel + sums, |scratch| {
        let (panel, rest) = scratch.split_at_mut(panel);
        let (sums, tile) = rest.split_at_mut(sums);
        let (panel, tiles) = (bytemuck::cast_slice_mut(panel), n >= TILES_FROM);
        let (sums, out) = match to {
            Sums::Out(out) => (bytemuck::cast_slice_mut(sums), Some(out)),
            Sums::Stay(sums) => {
                assert!(n <= COLUMNS && sums.len() == (range[1] - range[0]).div_ceil(2) * n, "sums [pairs, n]");
                (sums, None)
            }
        };
        crew.isa().run(Chunk::<Q> { w, x, n, range, out, panel, sums, tile, tiles, format: PhantomData });
    });
}

struct Chunk<'a, Q> {
    w: &'a Matrix<'a>,
    x: &'a [ActBlock],
    n: usize,
    range: [usize; 2],
    /// Where sums are stored after each pass, so that the next takes their place.
    out: Option<Rows>,
    panel: &'a mut [PanelSub],
    sums: &'a mut [PairSums],
    tile: &'a mut [u8],
    /// Whether the matrix unit, or products of pairs, do the sums.
    tiles: bool,
    format: PhantomData<Q>,
}

impl<Q: Quant> Kernel for Chunk<'_, Q> {
    type Out = ();

    #[inline(always)]
    fn call<S: Isa>(mut self, s: S) {
        if S::PAIRS {
            self.tiles = self.n >= PAIRS_FROM;
        }
        let subs = self.w.cols() / SUB;
        let small = size_of_val(self.x) <= SMALL;
        let at_once = if S::TILES && self.tiles { UNIT_PAIRS } else { 1 };
        let pass = 2 * if small { at_once } else { PAIRS };
        for first in (self.range[0]..self.range[1]).step_by(pass) {
            let last = (first + pass).min(self.range[1]);
            for c in (0..self.n).step_by(COLUMNS) {
                let columns = COLUMNS.min(self.n - c);
                let base = if self.out.is_some() { 0 } else { (first - self.range[0]) / 2 * columns };
                // Also once when there is nothing to sum, to store the zeros.
                for k in (0..subs.max(1)).step_by(DEPTH) {
                    let depth = DEPTH.min(subs - k);
                    for tile in (first..last).step_by(2 * at_once) {
                        let pairs = at_once.min((last - tile).div_ceil(2));
                        for p in 0..pairs {
                            self.decode_pair(s, tile + 2 * p, k, depth, p);
                        }
                        let next = tile + 2 * at_once;
                        if next < last {
                            self.fetch(s, [next, (next + 2 * at_once).min(last)], k);
                        } else {
                            self.fetch(s, [first, (first + 2 * at_once).min(last)], k + DEPTH);
                        }
                        let pair = (tile - first) / 2;
                        let sums = &mut self.sums[base + pair * columns..][..pairs * columns];
                        let x = &self.x[c * subs..(c + columns) * subs];
                        let panel = &self.panel[..pairs * depth];
                        let (fresh, unit) = (k == 0, self.tiles);
                        if S::WIDE_IS_CHEAP {
                            type Folded<Q> = <<Q as Quant>::Form as Form>::Folded;
                            s.run(Micro::<Folded<Q>>::new(panel, x, k, fresh, unit, sums, columns));
                        } else {
                            s.run(Micro::<Q::Form>::new(panel, x, k, fresh, unit, sums, columns));
                        }
                    }
                }
                if let Some(out) = self.out {
                    self.store(out, c, [first, last], columns);
                }
            }
        }
    }
}

impl<Q: Quant> Chunk<'_, Q> {
    /// Asks for what is decoded next, into the second cache: a panel's depth of `tiles` from sub-block `k` on. The
    /// products with this panel take so long that the CPU has forgotten the stream when the next is due.
    #[inline(always)]
    fn fetch<S: Isa>(&self, s: S, tiles: [usize; 2], k: usize) {
        let blocks = self.w.cols() / Q::BLOCK;
        let (from, to) = (k * SUB / Q::BLOCK, ((k + DEPTH) * SUB / Q::BLOCK).min(blocks));
        if from >= to {
            return;
        }
        // A tile lies in one piece, or in one a row.
        let (bytes, pieces) = match self.w.layout() {
            Layout::Packed => (Q::PACKED, 1),
            Layout::File => (Q::BYTES, TILE_ROWS),
        };
        for piece in tiles[0] * pieces..tiles[1] * pieces {
            let at = self.w.data().as_ptr().wrapping_add((piece * blocks + from) * bytes);
            for line in (0..(to - from) * bytes).step_by(64) {
                s.prefetch_far(at.wrapping_add(line));
            }
        }
    }

    /// Fills pair `pair` of the panel with sub-blocks `k..k + depth` of tiles `tile` and the next; zeros where there is
    /// no next.
    #[inline(always)]
    fn decode_pair<S: Isa>(&mut self, s: S, tile: usize, k: usize, depth: usize, pair: usize) {
        let panel = &mut self.panel[pair * depth..][..depth];
        let (from, to) = (k * SUB / Q::BLOCK, (k + depth) * SUB / Q::BLOCK);
        let tile_bytes = self.w.cols() / Q::BLOCK * Q::PACKED;
        for t in 0..2 {
            if tile + t >= self.range[1] {
                panel.iter_mut().for_each(|p| (p.w[t], p.scale[t]) = ([[0; 64]; 8], [0.0; TILE_ROWS]));
                panel.iter_mut().for_each(|p| (p.offset[t], p.half[t]) = Default::default());
                panel.iter_mut().for_each(|p| p.offset_half[t] = Default::default());
                continue;
            }
            let packed = match self.w.layout() {
                Layout::Packed => {
                    &self.w.data()[(tile + t) * tile_bytes..][..tile_bytes][from * Q::PACKED..to * Q::PACKED]
                }
                Layout::File => {
                    let rows = tile_rows(self.w, tile + t, from * Q::BYTES..to * Q::BYTES);
                    let out = &mut self.tile[..(to - from) * Q::PACKED];
                    pack_tile::<S, Q>(s, rows, out);
                    &*out
                }
            };
            decode::<S, Q>(s, packed, t, self.tiles, panel);
        }
    }

    /// Writes the sums of a pass, column by column: the rows of a column lie side by side.
    #[inline(always)]
    fn store(&self, out: Rows, c: usize, tiles: [usize; 2], columns: usize) {
        for i in 0..columns {
            for tile in tiles[0]..tiles[1] {
                let (pair, t) = ((tile - tiles[0]) / 2, (tile - tiles[0]) % 2);
                out.store_tile(c + i, tile, &self.sums[pair * columns + i][t]);
            }
        }
    }
}

/// Packed blocks of one tile to side `t` of the panel.
#[inline(always)]
fn decode<S: Isa, Q: Quant>(s: S, packed: &[u8], t: usize, tiles: bool, panel: &mut [PanelSub]) {
    let subs = Q::BLOCK / SUB;
    let tiles = (S::TILES || S::PAIRS) && tiles;
    for (block, panel) in packed.chunks_exact(Q::PACKED).zip(panel.chunks_exact_mut(subs)) {
        let head = Q::head(s, block);
        each_in!(S, subs, i => {
            let lanes = Q::sub_with(s, &head, block, i);
            if S::WIDE_IS_CHEAP {
                panel[i].store::<S, <Q::Form as Form>::Folded>(s, &Q::Form::fold(s, lanes), t, tiles);
            } else {
                panel[i].store::<S, Q::Form>(s, &lanes, t, tiles);
            }
        });
    }
}
