//! The gated half of a feed-forward part in one region: `quantize(activation(gate x) * (up x))`.
//!
//! ```text
//! chunk          up to 8 tiles of `gate`, or whole units of 3 (see panel.rs), and the same of `up`
//!   block        up to 512 rows of x
//!     products   their sums stay in scratch that fits the second cache, `[tile, row, 16]`
//!     finish     activation, product and quantization of 32 channels at a time
//! ```
//!
//! A block of activations is 32 channels of one row, so all it needs is in the chunk. Apart, the operations would write
//! and read two matrices of floats, each twice the size of the blocks. With a single row it does not pay (measured: 5 %
//! slower): the weights come in twice as many streams, and memory waits while a thread finishes.

use super::matrix::Matrix;
use super::panel::{self, COLUMNS, RowSums, Sums};
use super::{Input, Rows, Task, apart, are_few, tiles_per_chunk};
use crate::format::{Float, FormatVisitor, Quant, SUB, TILE_ROWS};
use crate::isa::{Isa, Kernel};
use crate::op::activation::{Activation, gated};
use crate::op::quantize::{ActBlock, GROUP, NonFinite, block, block_index};
use crate::team::{Crew, SendPtr};
use std::sync::atomic::{AtomicBool, Ordering};

/// The most tiles of each matrix in a chunk.
const MOST: usize = 8;

/// The two products and what joins them.
#[derive(Clone, Copy)]
pub struct Gate<'a> {
    /// `[channels, cols]`, activated; `channels` is a multiple of 32.
    pub gate: Matrix<'a>,
    /// `[channels, cols]`.
    pub up: Matrix<'a>,
    /// `[n, cols]`.
    pub x: Input<'a>,
    /// What is done to the gate.
    pub activation: Activation,
}

/// `out = quantize(activation(gate x) * (up x))`: the groups of `n` rows of `channels / 32` blocks. The same bits as the
/// operations one after the other.
///
/// # Errors
/// A product is not finite; the blocks are unspecified then.
///
/// # Panics
/// When shapes or lengths do not fit together.
pub fn gated_matmul(crew: &Crew<'_>, n: usize, g: &Gate<'_>, out: &mut [ActBlock]) -> Result<(), NonFinite> {
    let channels = g.gate.rows();
    assert!(g.up.rows() == channels && channels.is_multiple_of(SUB), "gate and up [channels, cols]");
    assert_eq!(out.len(), n * channels / SUB, "blocks [n, channels / 32]");
    for w in [&g.gate, &g.up] {
        g.x.check(w, n);
    }
    if out.is_empty() {
        return Ok(());
    }
    let tiles = channels / TILE_ROWS;
    // Pairs of tiles, as a block needs, and whole units of a panel.
    let [gate, up] = [&g.gate, &g.up].map(|w| panel::unit(crew.isa(), w.format()));
    let unit = if gate == 3 || up == 3 { 6 } else { 2 };
    let per = tiles_per_chunk(crew.threads(), n, [g.gate].into_iter()).next_multiple_of(unit).min(MOST / unit * unit);
    let few = if [g.gate, g.up].iter().any(|w| are_few(crew, n, w)) { apart(n, g.x.blocks) } else { Vec::new() };
    let (blocks, bad) = (SendPtr(out.as_mut_ptr()), AtomicBool::new(false));
    crew.run(tiles.div_ceil(per), &|worker, chunk| {
        let range = [chunk * per, ((chunk + 1) * per).min(tiles)];
        let tiles = range[1] - range[0];
        crew.with_room(worker, 2 * tiles * n.min(COLUMNS) * size_of::<RowSums>(), |room| {
            for first in (0..n).step_by(COLUMNS) {
                let rows = COLUMNS.min(n - first);
                let room = &mut bytemuck::cast_slice_mut(room)[..2 * tiles * rows];
                let (gate, up) = room.split_at_mut(tiles * rows);
                for (w, sums) in [(&g.gate, &mut *gate), (&g.up, &mut *up)] {
                    let x = g.x.part(w, first..first + rows);
                    let rows_apart = if are_few(crew, n, w) { &*few } else { &[] };
                    w.format().visit(Part { crew, worker, w, x, rows: rows_apart, range, n: rows, sums });
                }
                let to = Blocks { out: blocks, n, subs: channels / SUB, first: [first, range[0] / 2] };
                if crew.isa().run_lanes(Finish { gate, up, rows, activation: g.activation, to }).is_err() {
                    bad.store(true, Ordering::Relaxed);
                }
            }
        });
    });
    if bad.into_inner() { Err(NonFinite) } else { Ok(()) }
}

/// Products of a chunk's tiles with `n` rows of x.
struct Part<'a> {
    crew: &'a Crew<'a>,
    worker: usize,
    w: &'a Matrix<'a>,
    x: Input<'a>,
    /// The blocks of x row after row, where those are few.
    rows: &'a [ActBlock],
    range: [usize; 2],
    n: usize,
    /// `[tiles, n]`, overwritten.
    sums: &'a mut [RowSums],
}

impl Part<'_> {
    /// Tile by tile.
    fn each(self, product: impl Fn(Task<'_>)) {
        for (i, sums) in self.sums.chunks_exact_mut(self.n).enumerate() {
            let first = self.range[0] + i;
            let out = Rows::part(sums.as_flattened_mut(), self.n, first * TILE_ROWS, TILE_ROWS);
            let (crew, worker, w, x, rows) = (self.crew, self.worker, self.w, self.x, self.rows);
            product(Task { crew, worker, w, x, rows, range: [first, first + 1], out });
        }
    }
}

impl FormatVisitor for Part<'_> {
    type Out = ();

    fn quant<Q: Quant>(self) {
        if self.n == 1 || !self.rows.is_empty() {
            return self.each(|task| task.quant::<Q>());
        }
        let x = (self.n, self.x.blocks);
        panel::run::<Q>(self.crew, self.worker, self.w, x, self.range, Sums::Stay(self.sums));
    }

    fn float<T: Float>(self) {
        self.each(|task| task.float::<T>());
    }
}

/// Where a block of rows goes: from row `first[0]` on, sub-blocks from `first[1]` on, of all `n` rows.
#[derive(Clone, Copy)]
struct Blocks {
    out: SendPtr<ActBlock>,
    n: usize,
    subs: usize,
    first: [usize; 2],
}

impl Blocks {
    #[inline(always)]
    fn store(&self, row: usize, sub: usize, block: ActBlock) {
        let (row, sub) = (self.first[0] + row, self.first[1] + sub);
        assert!(row < self.n && sub < self.subs);
        // SAFETY: inside the `n * subs` blocks by the assertion; a chunk stores only sub-blocks of its own channels, and
        // each belongs to one chunk; the owner is borrowed mutably for the whole region.
        unsafe { self.out.get().add(block_index(self.n, self.subs, row, sub)).write(block) }
    }
}

/// `gate` and `up` are `[tiles, rows]`.
struct Finish<'a> {
    gate: &'a [RowSums],
    up: &'a [RowSums],
    rows: usize,
    activation: Activation,
    to: Blocks,
}

impl Kernel for Finish<'_> {
    type Out = Result<(), NonFinite>;

    #[inline(always)]
    fn call<S: Isa>(self, s: S) -> Self::Out {
        for first in (0..self.rows).step_by(GROUP) {
            for sub in 0..self.gate.len() / self.rows / 2 {
                for row in first..self.rows.min(first + GROUP) {
                    let at = [2 * sub, 2 * sub + 1].map(|tile| tile * self.rows + row);
                    let low = gated(s, self.activation, s.f_load(&self.gate[at[0]]), s.f_load(&self.up[at[0]]));
                    let high = gated(s, self.activation, s.f_load(&self.gate[at[1]]), s.f_load(&self.up[at[1]]));
                    self.to.store(row, sub, block(s, low, high)?);
                }
            }
        }
        Ok(())
    }
}
