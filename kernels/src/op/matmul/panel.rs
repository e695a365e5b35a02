//! Many columns: decode weights once, to a panel of 8-bit integers in the nearest cache, and use them for all columns.
//!
//! ```text
//! pass            up to 4 units of a chunk; a unit is 2 or 3 tiles of 16 rows, as many as suit the instruction set
//!   column block  up to 512 columns, so that the sums of the pass (32 KB a tile) stay in the second cache
//!     depth       8 sub-blocks of 32 weights: the panel of a tile is 6 KB, the columns' part 512 bytes each
//!       unit      decode its rows x 256 weights; multiply with all columns (micro.rs), sums from and to scratch
//! ```
//!
//! For the matrix unit it is two pairs of tiles at a time: their panel still fits the nearest cache, and columns come half
//! as often from the second (measured: 7 % faster).
//!
//! Storing a sum between two depths and loading it again changes nothing, so the order of the contract is kept.

use super::Rows;
use super::direct::offset_sum;
use super::matrix::{Layout, Matrix, tile_rows};
use super::micro::{Micro, together};
use crate::format::{Float, Form, Format, FormatVisitor, Lanes, Quant, SUB, TILE_ROWS, pack_tile};
use crate::isa::{CpuIsa, Isa, Kernel, each, each_in};
use crate::op::quantize::{ActBlock, GROUP};
use crate::team::Crew;
use std::marker::PhantomData;

/// Units of tiles in a pass.
pub(super) const UNITS: usize = 4;
/// The most tiles that are decoded to a panel at a time: two pairs for the matrix unit.
const MOST: usize = 4;
/// Sub-blocks in a panel: a whole number of blocks of every format.
pub(super) const DEPTH: usize = 8;
/// Columns in a block.
pub(super) const COLUMNS: usize = 512;
const _: () = assert!(COLUMNS.is_multiple_of(GROUP));
/// Columns that take less than this stay in the second cache by themselves: then every unit runs to its end before the
/// next begins, and its weights are read in one stream.
const SMALL: usize = 512 << 10;

/// Columns from which a matrix unit pays: with fewer, the way of its sums through memory costs more than it saves.
const TILES_FROM: usize = 64;

/// Columns from which products of pairs pay: with fewer, most of a block of eight columns would be empty.
const PAIRS_FROM: usize = 6;

/// Thirty-two weights of a tile's rows, decoded.
#[derive(Clone, Copy, bytemuck::Zeroable, bytemuck::Pod)]
#[repr(C, align(64))]
pub(super) struct PanelSub {
    /// As [`crate::format::Lanes::w`]; as [`Isa::i_tiles`] leaves them for the matrix unit, the same after
    /// [`Isa::pairs_weights`] for products of pairs, else as stored, signed ones after [`Isa::i_signed`].
    pub w: [[u8; 64]; 8],
    pub scale: [f32; TILE_ROWS],
    /// Only for forms that have one.
    pub offset: [f32; TILE_ROWS],
    /// Only for forms with halves.
    pub half: [[f32; TILE_ROWS]; 2],
    /// The factors of [`offset_sum`]; only for forms whose offset has halves.
    pub offset_half: [[f32; TILE_ROWS]; 2],
}

impl PanelSub {
    /// [`offset_sum`] for these rows.
    #[inline(always)]
    pub fn offset_sum<S: Isa, F: Form>(&self, s: S, x: &ActBlock) -> S::F {
        offset_sum::<S, F>(s, [s.f_load(&self.offset_half[0]), s.f_load(&self.offset_half[1])], x)
    }

    /// Stores a sub-block, for the matrix unit or products of pairs with `tiles`.
    #[inline(always)]
    fn store<S: Isa, F: Form>(&mut self, s: S, lanes: &Lanes<S>, tiles: bool) {
        if S::PAIRS && tiles {
            each!(4, g => {
                let (a, b) = (s.i_tiles(lanes.w[2 * g], F::ZERO), s.i_tiles(lanes.w[2 * g + 1], F::ZERO));
                let [a, b] = s.pairs_weights(a, b);
                s.i_store(&mut self.w[2 * g], a);
                s.i_store(&mut self.w[2 * g + 1], b);
            });
        } else {
            each!(8, g => {
                let w = match (tiles, F::BITS) {
                    (true, _) => s.i_tiles(lanes.w[g], F::ZERO),
                    (false, 8) => s.i_signed(lanes.w[g]),
                    (false, _) => lanes.w[g],
                };
                s.i_store(&mut self.w[g], w);
            });
        }
        s.f_store(&mut self.scale, lanes.scale);
        if F::OFFSET {
            s.f_store(&mut self.offset, lanes.offset);
        }
        if F::HALVES {
            s.f_store(&mut self.half[0], lanes.half[0]);
            s.f_store(&mut self.half[1], lanes.half[1]);
        }
        if F::OFFSET_HALVES {
            let [low, high] = lanes.offset_half;
            s.f_store(&mut self.offset_half[0], s.f_sub(low, high));
            s.f_store(&mut self.offset_half[1], high);
        }
    }
}

/// Running sums of a tile with a column.
pub(super) type RowSums = [f32; TILE_ROWS];

/// Where the sums of a chunk's tiles go once they are whole.
pub(super) enum Sums<'a> {
    /// To their places in the output.
    Out(Rows),
    /// They stay where they are made, `[tiles, columns]`; at most [`COLUMNS`], of an even number of tiles.
    Stay(&'a mut [RowSums]),
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
    let panel = MOST * DEPTH * size_of::<PanelSub>();
    let pass = unit(crew.isa(), w.format()) * UNITS;
    let sums = if let Sums::Out(_) = to { pass * COLUMNS.min(n) * size_of::<RowSums>() } else { 0 };
    crew.with_scratch(worker, tile + panel + sums, |scratch| {
        let (panel, rest) = scratch.split_at_mut(panel);
        let (sums, tile) = rest.split_at_mut(sums);
        let (panel, tiles) = (bytemuck::cast_slice_mut(panel), n >= TILES_FROM);
        let (sums, out) = match to {
            Sums::Out(out) => (bytemuck::cast_slice_mut(sums), Some(out)),
            Sums::Stay(sums) => {
                let tiles = range[1] - range[0];
                assert!(n <= COLUMNS && tiles.is_multiple_of(2) && sums.len() == tiles * n, "sums [tiles, n]");
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
    sums: &'a mut [RowSums],
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
        let mut first = self.range[0];
        while first < self.range[1] {
            let pass = if small { self.unit::<S>(self.range[1] - first) } else { Self::together::<S>() * UNITS };
            let last = (first + pass).min(self.range[1]);
            for c in (0..self.n).step_by(COLUMNS) {
                let columns = COLUMNS.min(self.n - c);
                let base = if self.out.is_some() { first } else { self.range[0] };
                // Also once when there is nothing to sum, to store the zeros.
                for k in (0..subs.max(1)).step_by(DEPTH) {
                    let depth = DEPTH.min(subs - k);
                    let mut tile = first;
                    while tile < last {
                        let unit = self.unit::<S>(last - tile);
                        self.decode_unit(s, tile, k, depth, unit);
                        let next = tile + unit;
                        if next < last {
                            self.fetch(s, [next, next + self.unit::<S>(last - next).min(last - next)], k);
                        } else {
                            self.fetch(s, [first, first + self.unit::<S>(last - first).min(last - first)], k + DEPTH);
                        }
                        let sums = &mut self.sums[(tile - base) * columns..][..unit * columns];
                        let x = &self.x[c * subs..(c + columns) * subs];
                        let panel = &self.panel[..unit * depth];
                        let (fresh, tiles) = (k == 0, self.tiles);
                        if S::WIDE_IS_CHEAP {
                            type Folded<Q> = <<Q as Quant>::Form as Form>::Folded;
                            s.run(Micro::<Folded<Q>>::new(panel, x, k, fresh, tiles, sums, columns));
                        } else {
                            s.run(Micro::<Q::Form>::new(panel, x, k, fresh, tiles, sums, columns));
                        }
                        tile = next;
                    }
                }
                if let Some(out) = self.out {
                    self.store(out, c, [first, last], columns);
                }
            }
            first = last;
        }
    }
}

impl<Q: Quant> Chunk<'_, Q> {
    /// The tiles of the next panel where `left` are left, without a third of three: an even number is left of an even one,
    /// and a single last tile has an empty one beside it.
    #[inline(always)]
    fn unit<S: Isa>(&self, left: usize) -> usize {
        match left {
            1 | 2 => 2,
            _ if S::TILES && self.tiles => left.min(MOST).next_multiple_of(2),
            4 => 2,
            _ => Self::together::<S>(),
        }
    }

    /// Tiles of a panel at best, but for the matrix unit.
    const fn together<S: Isa>() -> usize {
        if S::WIDE_IS_CHEAP { together::<S, <Q::Form as Form>::Folded>() } else { together::<S, Q::Form>() }
    }

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

    /// Fills the panel with sub-blocks `k..k + depth` of `unit` tiles from `tile` on, `[depth, unit]`, or for the matrix unit
    /// `[unit / 2, depth, 2]`; zeros where there is no such tile.
    #[inline(always)]
    fn decode_unit<S: Isa>(&mut self, s: S, tile: usize, k: usize, depth: usize, unit: usize) {
        let side = if S::TILES && self.tiles { 2 } else { unit };
        let (from, to) = (k * SUB / Q::BLOCK, (k + depth) * SUB / Q::BLOCK);
        let tile_bytes = self.w.cols() / Q::BLOCK * Q::PACKED;
        for t in 0..unit {
            let panel = &mut self.panel[t / side * side * depth..][..side * depth];
            if tile + t >= self.range[1] {
                panel.iter_mut().skip(t % side).step_by(side).for_each(|p| *p = bytemuck::Zeroable::zeroed());
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
            decode::<S, Q>(s, packed, [t % side, side], self.tiles, panel);
        }
    }

    /// Writes the sums of a pass, column by column: the rows of a column lie side by side.
    #[inline(always)]
    fn store(&self, out: Rows, c: usize, tiles: [usize; 2], columns: usize) {
        for i in 0..columns {
            for tile in tiles[0]..tiles[1] {
                out.store_tile(c + i, tile, &self.sums[(tile - tiles[0]) * columns + i]);
            }
        }
    }
}

/// Packed blocks of one tile to the panel, of which it is the tile `at[0]` of `at[1]`.
#[inline(always)]
fn decode<S: Isa, Q: Quant>(s: S, packed: &[u8], at: [usize; 2], tiles: bool, panel: &mut [PanelSub]) {
    let subs = Q::BLOCK / SUB;
    let tiles = (S::TILES || S::PAIRS) && tiles;
    for (block, panel) in packed.chunks_exact(Q::PACKED).zip(panel.chunks_exact_mut(subs * at[1])) {
        let head = Q::head(s, block);
        each_in!(S, subs, i => {
            let lanes = Q::sub_with(s, &head, block, i);
            let p = &mut panel[i * at[1] + at[0]];
            if S::WIDE_IS_CHEAP {
                p.store::<S, <Q::Form as Form>::Folded>(s, &Q::Form::fold(s, lanes), tiles);
            } else {
                p.store::<S, Q::Form>(s, &lanes, tiles);
            }
        });
    }
}

/// Tiles of which a chunk had best be a multiple: those of a panel.
pub(super) fn unit(isa: CpuIsa, format: Format) -> usize {
    struct Unit(CpuIsa);
    struct Together<Q>(PhantomData<Q>);

    impl FormatVisitor for Unit {
        type Out = usize;

        fn quant<Q: Quant>(self) -> usize {
            // Not `run_products`: with a matrix unit panels are of pairs.
            self.0.run(Together::<Q>(PhantomData))
        }
        fn float<T: Float>(self) -> usize {
            2
        }
    }

    impl<Q: Quant> Kernel for Together<Q> {
        type Out = usize;

        fn call<S: Isa>(self, _: S) -> usize {
            Chunk::<Q>::together::<S>()
        }
    }
    format.visit(Unit(isa))
}
