//! Many columns: a tile's weights are decoded once, a piece at a time, to f32 in the nearest cache, and multiplied with all
//! columns of a block from the second.
//!
//! ```text
//! for each block of columns            x stays in the second cache
//!   for each tile of 16 rows
//!     for each piece of k              decoded once for the block: the panel, in the nearest cache
//!       for each few columns           whose piece of x all rows share
//!         for each few rows            sums of 16 lanes in registers, kept between pieces
//!     one tree for the 16 rows of each column
//! ```

use super::FloatTask;
use crate::format::{Float, TILE_ROWS};
use crate::isa::{Isa, each, load_tail};

/// Sixteen numbers: a register, or the lanes of a sum.
type Lanes = [f32; 16];

/// Fewest columns for which it is worth it.
const FROM: usize = 20;
/// Weights of a row that are decoded at a time: with 16 rows half of a small nearest cache.
const DEPTH: usize = 256;
/// Columns of a block.
const COLUMNS: usize = 64;
/// Registers of a row of the panel.
const STEPS: usize = DEPTH / 16;

/// Bytes that products of `n` columns need for themselves.
pub(in crate::op) fn room(n: usize) -> usize {
    if n < FROM { 0 } else { (STEPS + n.min(COLUMNS)) * TILE_ROWS * size_of::<Lanes>() }
}

/// A piece of some columns.
#[derive(Clone, Copy)]
struct Piece<'a> {
    /// From the first number of the piece in the first column on.
    x: &'a [f32],
    /// From one column to the next.
    stride: usize,
    depth: usize,
    /// Whether sums begin with it.
    first: bool,
}

impl<T: Float> FloatTask<'_, T> {
    /// All rows and columns; `room` is what [`room`] says.
    #[inline(always)]
    pub(super) fn panels<S: Isa>(&self, s: S, room: &mut [Lanes]) {
        let (panel, sums) = room.split_at_mut(STEPS * TILE_ROWS);
        for first in (0..self.out.n).step_by(COLUMNS) {
            let columns = COLUMNS.min(self.out.n - first);
            let x = &self.x[first * self.cols..][..columns * self.cols];
            for row in (self.rows[0]..self.rows[1]).step_by(TILE_ROWS) {
                let sums = &mut sums[..columns * TILE_ROWS];
                if self.cols == 0 {
                    sums.fill([0.0; 16]);
                }
                for k in (0..self.cols).step_by(DEPTH) {
                    let depth = DEPTH.min(self.cols - k);
                    self.decode(s, row, k..k + depth, panel);
                    multiply(s, panel, Piece { x: &x[k..], stride: self.cols, depth, first: k == 0 }, sums);
                }
                for (c, sums) in sums.as_chunks().0.iter().enumerate() {
                    let mut v = [0.0; TILE_ROWS];
                    s.f_store(&mut v, s.f_sums(sums));
                    let rows = TILE_ROWS.min(self.rows[1] - row);
                    self.out.store(first + c, row, &v[..rows]);
                }
            }
        }
    }

    /// A piece of the rows of a tile to `[16][STEPS]`; what is not there is zero.
    #[inline(always)]
    fn decode<S: Isa>(&self, s: S, row: usize, piece: std::ops::Range<usize>, panel: &mut [Lanes]) {
        let bytes = self.cols * T::BYTES;
        for (r, panel) in panel.chunks_exact_mut(STEPS).enumerate() {
            let w = match row + r < self.rows[1] {
                true => &self.w[(row + r) * bytes..][piece.start * T::BYTES..piece.end * T::BYTES],
                false => &[],
            };
            let mut chunks = w.chunks_exact(16 * T::BYTES);
            for (w, out) in chunks.by_ref().zip(&mut *panel) {
                s.f_store(out, T::load(s, w));
            }
            let done = w.len() / (16 * T::BYTES);
            if done < piece.len().div_ceil(16) {
                panel[done..].fill([0.0; 16]);
                let rest = chunks.remainder().chunks_exact(T::BYTES);
                panel[done].iter_mut().zip(rest).for_each(|(out, b)| *out = T::decode(b));
            }
        }
    }
}

/// `sums[column][row] += panel[row] * x[column]`, lane by lane.
#[inline(always)]
fn multiply<S: Isa>(s: S, panel: &[Lanes], of: Piece<'_>, sums: &mut [Lanes]) {
    let columns = sums.len() / TILE_ROWS;
    let mut c = 0;
    // Sums of four rows by four columns take sixteen registers of 512 bits.
    while S::MANY && columns - c >= 4 {
        rows::<S, 4, 4>(s, panel, of, c, sums);
        c += 4;
    }
    while columns - c >= 2 {
        rows::<S, 2, 2>(s, panel, of, c, sums);
        c += 2;
    }
    if c < columns {
        rows::<S, 2, 1>(s, panel, of, c, sums);
    }
}

/// The same for `C` columns from `c` on, `R` rows at a time.
#[inline(always)]
fn rows<S: Isa, const R: usize, const C: usize>(s: S, panel: &[Lanes], of: Piece<'_>, c: usize, sums: &mut [Lanes]) {
    let full = of.depth / 16;
    let x: [&[f32]; C] = std::array::from_fn(|i| &of.x[(c + i) * of.stride..][..of.depth]);
    // All of one length that the compiler knows to be the loop's: without a check for each.
    let whole: [&[Lanes]; C] = std::array::from_fn(|i| &x[i].as_chunks().0[..full]);
    for row in (0..TILE_ROWS).step_by(R) {
        let sums: &mut [[Lanes; TILE_ROWS]] = sums.as_chunks_mut().0;
        let sums: &mut [[Lanes; TILE_ROWS]; C] = sums[c..].first_chunk_mut().expect("sums of these columns");
        let w: [&[Lanes]; R] = std::array::from_fn(|r| &panel[(row + r) * STEPS..][..full]);
        let mut acc = [[s.f_splat(0.0); C]; R];
        if !of.first {
            each!(R, r => { each!(C, i => { acc[r][i] = s.f_load(&sums[i][row + r]); }); });
        }
        for k in 0..full {
            let mut xs = [s.f_splat(0.0); C];
            each!(C, i => { xs[i] = s.f_load(&whole[i][k]); });
            each!(R, r => {
                let w = s.f_load(&w[r][k]);
                each!(C, i => { acc[r][i] = s.f_fma(w, xs[i], acc[r][i]); });
            });
        }
        if full * 16 < of.depth {
            let mut xs = [s.f_splat(0.0); C];
            each!(C, i => { xs[i] = load_tail(s, &x[i][16 * full..]); });
            each!(R, r => {
                let w = s.f_load(&panel[(row + r) * STEPS + full]);
                each!(C, i => { acc[r][i] = s.f_fma(w, xs[i], acc[r][i]); });
            });
        }
        each!(R, r => { each!(C, i => { s.f_store(&mut sums[i][row + r], acc[r][i]); }); });
    }
}
