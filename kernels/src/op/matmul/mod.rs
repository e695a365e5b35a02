//! Matrix products: `out[n, rows] = x[n, cols] * w[rows, cols]^T`, any weight format, one row of x or hundreds.
//!
//! ```text
//! matmul        cuts the products of a region into chunks of tiles, which threads take off a counter
//!   direct      one column, or a few: a tile goes once through the registers, straight from where it lies
//!   panel       more columns: a pair of tiles is decoded once to 8-bit integers in cache ...
//!     micro       ... and multiplied with all columns, six at a time, by one kernel for all formats
//!     tiled     ... or with the help of a matrix unit
//!     paired    ... or by products of two rows and two columns
//! gated         two products, the activation between them and its quantization in one region
//! ```
//!
//! The numeric contract, per output element and sub-block in ascending order: `isum` exact in i32, then
//! `acc = fma(scale * d, isum, acc)`, then for formats with an offset `acc = fma(offset * d, asum, acc)`. Both ways
//! keep to it, so which one runs is a matter of speed alone.

mod direct;
mod gated;
mod matrix;
mod micro;
mod paired;
mod panel;
mod tiled;

pub use gated::{Gate, gated_matmul};
pub(crate) use matrix::padded;
pub use matrix::{Layout, Matrix, ShapeError};

use super::matmul_float::{self, FloatTask};
use super::quantize::ActBlock;
use crate::format::{Float, FormatVisitor, Quant, SUB, TILE_ROWS};
use crate::team::{Crew, SendPtr};
use panel::Sums;
use std::array::from_fn;
use std::ops::Range;

/// The left operand in the two forms that formats ask for.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// `[n, cols]`, for floating-point weights.
    pub floats: &'a [f32],
    /// The groups of `n` rows of `cols / 32` blocks (see [`GROUP`](super::quantize::GROUP)), for block formats; may be
    /// empty when no block format reads it.
    pub blocks: &'a [ActBlock],
}

/// Bytes of weights that a thread takes at a time where there is one column: a few microseconds' worth.
const CHUNK: usize = 48 << 10;

/// Bytes of weights that a waiting thread fetches for later: a part of the second cache that most CPUs have.
const AHEAD: usize = 128 << 10;

/// Rows of x up to which a tile is multiplied straight from where it lies, where `w` is such. With more, or on other instruction
/// sets, it is decoded once for all of them to a panel in cache.
///
/// Up to four rows share a decoded sub-block where there are registers for their sums (measured on a Zen 4 with AVX-512-VNNI: two
/// rows 1.0 to 1.8 times as fast as each by itself; whole models with eight rows 1.3 to 1.4 times as fast as by panels from the
/// GGUF, 1.1 to 1.2 times packed; codebooks as fast, or up to a tenth slower, with more than three packed rows). Otherwise each takes its turn with a
/// tile, which comes from the caches after the first (AVX2: two rows 1.2 to 1.9 times as fast as by panels, three 1 to 1.5, four
/// mostly less; codebooks, which take long to decode, less). With a matrix unit it was not measured for more than three.
fn few(crew: &Crew<'_>, w: &Matrix<'_>) -> usize {
    use crate::isa::IsaKind::{Amx, Avx2, Avx512, Avx512Vnni, AvxVnni};
    match (crew.isa().kind(), w.format().is_quick(), w.layout()) {
        (Avx512Vnni, true, _) | (Avx512Vnni, false, Layout::File) => MOST,
        (Avx512Vnni, false, Layout::Packed) | (Avx2 | AvxVnni | Avx512 | Amx, true, _) => 3,
        _ => 1,
    }
}

/// The most rows of x that are [few](few()).
const MOST: usize = 8;

/// Whether `n` rows of x are few, and more than one.
fn are_few(crew: &Crew<'_>, n: usize, w: &Matrix<'_>) -> bool {
    (2..=MOST).contains(&n) && w.format().is_quant() && n <= few(crew, w)
}

/// The blocks of `n` rows, less than a group, one row after the other.
fn apart(n: usize, x: &[ActBlock]) -> Vec<ActBlock> {
    (0..n).flat_map(|row| x.iter().skip(row).step_by(n)).copied().collect()
}

/// One product of a region.
pub struct Product<'a> {
    /// The weights.
    pub w: Matrix<'a>,
    /// `[n, w.cols()]`.
    pub x: Input<'a>,
    /// `[n, w.rows()]`, overwritten.
    pub out: &'a mut [f32],
}

impl Product<'_> {
    /// How many rows its buffers have; 0 where there is nothing to write.
    fn n(&self) -> usize {
        if self.w.rows() == 0 {
            return 0;
        }
        let n = self.out.len() / self.w.rows();
        assert_eq!(self.out.len(), n * self.w.rows(), "output [n, rows]");
        self.x.check(&self.w, n);
        n
    }
}

impl<'a> Input<'a> {
    /// Some rows of what `w` reads; they begin a group.
    fn part(&self, w: &Matrix<'_>, rows: Range<usize>) -> Self {
        let subs = w.cols() / SUB;
        match w.format().is_quant() {
            true => Self { blocks: &self.blocks[rows.start * subs..rows.end * subs], ..*self },
            false => Self { floats: &self.floats[rows.start * w.cols()..rows.end * w.cols()], ..*self },
        }
    }

    /// Panics unless there are `n` rows of what `w` reads.
    fn check(&self, w: &Matrix<'_>, n: usize) {
        match w.format().is_quant() {
            true => assert_eq!(self.blocks.len(), n * w.cols() / SUB, "quantized input [n, cols / 32]"),
            false => assert_eq!(self.floats.len(), n * w.cols(), "input [n, cols]"),
        }
    }
}

/// Computes `n` rows of every product, all in one parallel region.
///
/// # Panics
/// When a buffer does not have the length that its comment says.
pub fn matmul(crew: &Crew<'_>, n: usize, products: &mut [Product<'_>]) {
    assert!(products.iter().all(|p| p.w.rows() == 0 || p.n() == n), "products of {n} rows");
    matmul_each(crew, products);
}

/// Computes every product, each of as many rows as its buffers have, all in one parallel region.
///
/// # Panics
/// When the buffers of a product do not fit together.
pub fn matmul_each(crew: &Crew<'_>, products: &mut [Product<'_>]) {
    let weights: Vec<Matrix<'_>> = products.iter().map(|p| p.w).collect();
    // Products of one row are cut by the bytes that they read, others by the columns that share a decoded tile.
    let per = [1, 2].map(|n| tiles_per_chunk(crew.threads(), n, weights.iter().copied()));
    let jobs: Vec<Job<'_>> = products
        .iter_mut()
        .map(|p| {
            let n = p.n();
            let per = if n > 1 { whole_units(crew, &p.w, per[1]) } else { per[0] };
            let chunks = if n > 0 { p.w.rows().div_ceil(TILE_ROWS * per) } else { 0 };
            let rows = if are_few(crew, n, &p.w) { apart(n, p.x.blocks) } else { Vec::new() };
            Job { w: p.w, x: p.x, rows, n, per, out: SendPtr(p.out.as_mut_ptr()), chunks }
        })
        .collect();
    let chunks = jobs.iter().map(|j| j.chunks).sum();
    crew.run(chunks, &|worker, mut chunk| {
        let Some(job) = jobs.iter().find(|j| {
            let here = chunk < j.chunks;
            chunk -= if here { 0 } else { j.chunks };
            here
        }) else {
            return;
        };
        let tiles = job.w.rows().div_ceil(TILE_ROWS);
        let range = [chunk * job.per, ((chunk + 1) * job.per).min(tiles)];
        let out = Rows { out: job.out, n: job.n, first: 0, rows: job.w.rows(), stride: job.w.rows() };
        job.w.format().visit(Task { crew, worker, w: &job.w, x: job.x, rows: &job.rows, range, out });
    });
}

/// Tiles that a thread takes at a time: few enough that an uneven core costs little, and enough that taking them does.
fn tiles_per_chunk<'a>(threads: usize, n: usize, weights: impl Iterator<Item = Matrix<'a>>) -> usize {
    let (mut tiles, mut bytes) = (0, 0);
    for w in weights {
        tiles += w.rows().div_ceil(TILE_ROWS);
        bytes += w.data().len();
    }
    if n > 1 {
        return tiles.div_ceil(threads * 8).max(1);
    }
    (tiles * CHUNK / bytes.max(1)).min(tiles.div_ceil(threads * 4)).max(1)
}

/// So many tiles of a product with several rows as whole panels: at most what shares one pass over the columns.
fn whole_units(crew: &Crew<'_>, w: &Matrix<'_>, tiles: usize) -> usize {
    let unit = panel::unit(crew.isa(), w.format());
    tiles.next_multiple_of(unit).min(unit * panel::UNITS)
}

/// Says that the next [`matmul`] but one is with these weights, so that threads which wait for it fetch the first of
/// them meanwhile. A hint: no result depends on it.
pub fn expect(crew: &Crew<'_>, n: usize, weights: &[Matrix<'_>]) {
    let per = tiles_per_chunk(crew.threads(), n, weights.iter().copied());
    let per = |w: &Matrix<'_>| if n > 1 { whole_units(crew, w, per) } else { per };
    let chunks = |w: &Matrix<'_>| w.rows().div_ceil(TILE_ROWS * per(w));
    let all: usize = weights.iter().map(chunks).sum();
    crew.expect(|worker| {
        let mut first = crew.share_start(worker, all);
        for w in weights {
            if first < chunks(w) {
                let data = w.data();
                let at = data.len() / w.rows().div_ceil(TILE_ROWS) * per(w) * first;
                return &data[at..(at + AHEAD).min(data.len())];
            }
            first -= chunks(w);
        }
        &[]
    });
}

/// A product as the threads see it.
struct Job<'a> {
    w: Matrix<'a>,
    x: Input<'a>,
    /// The blocks of x row after row, where those are few.
    rows: Vec<ActBlock>,
    n: usize,
    /// Tiles of a chunk.
    per: usize,
    out: SendPtr<f32>,
    chunks: usize,
}

/// Some tiles of a product in the hands of a thread: all of `out.n` rows of `x`.
struct Task<'a> {
    crew: &'a Crew<'a>,
    worker: usize,
    w: &'a Matrix<'a>,
    x: Input<'a>,
    /// See [`Job::rows`].
    rows: &'a [ActBlock],
    range: [usize; 2],
    out: Rows,
}

impl Task<'_> {
    /// The product with few rows of x, but more than one: a tile with as many at a time as share its weights.
    fn few<Q: Quant>(self) {
        let subs = self.w.cols() / SUB;
        let most = if self.crew.isa().takes_several() { 4 } else { 1 };
        for tile in self.range[0]..self.range[1] {
            let mut first = 0;
            while first < self.out.n {
                // Five are three and two: four and one would be slower.
                let n = match self.out.n - first {
                    5 => most.min(3),
                    left => most.min(left),
                };
                let row = |c: usize| &self.rows[(first + c) * subs..][..subs];
                let (crew, worker, w, range) = (self.crew, self.worker, self.w, [tile, tile + 1]);
                let out = self.out.columns(first, n);
                match n {
                    1 => direct::run::<Q, 1>(crew, worker, w, from_fn(row), range, out),
                    2 => direct::run::<Q, 2>(crew, worker, w, from_fn(row), range, out),
                    3 => direct::run::<Q, 3>(crew, worker, w, from_fn(row), range, out),
                    _ => direct::run::<Q, 4>(crew, worker, w, from_fn(row), range, out),
                }
                first += n;
            }
        }
    }
}

impl FormatVisitor for Task<'_> {
    type Out = ();

    fn quant<Q: Quant>(self) {
        if self.out.n == 1 {
            direct::run::<Q, 1>(self.crew, self.worker, self.w, [self.x.blocks], self.range, self.out);
        } else if !self.rows.is_empty() {
            self.few::<Q>();
        } else {
            let x = (self.out.n, self.x.blocks);
            panel::run::<Q>(self.crew, self.worker, self.w, x, self.range, Sums::Out(self.out));
        }
    }

    fn float<T: Float>(self) {
        let w = self.w;
        let rows = [self.range[0] * TILE_ROWS, (self.range[1] * TILE_ROWS).min(w.rows())];
        self.crew.with_scratch(self.worker, matmul_float::room(self.out.n), |room| {
            let (w, room) = ((w.data(), w.cols()), bytemuck::cast_slice_mut(room));
            self.crew.isa().run_lanes(FloatTask::<T>::new(w, self.x.floats, rows, self.out, room));
        });
    }
}

/// The output of a product, of which a chunk writes the columns of its own rows.
#[derive(Clone, Copy)]
pub(super) struct Rows {
    out: SendPtr<f32>,
    pub n: usize,
    /// The rows of the matrix that it has room for: `first..rows`.
    first: usize,
    rows: usize,
    /// From one column to the next.
    stride: usize,
}

impl Rows {
    /// `[n, width]` for rows `first..first + width` of a matrix, for as long as `out` is not used otherwise.
    fn part(out: &mut [f32], n: usize, first: usize, width: usize) -> Self {
        assert!(out.len() == n * width);
        Self { out: SendPtr(out.as_mut_ptr()), n, first, rows: first + width, stride: width }
    }

    /// Columns `first..first + n` alone.
    fn columns(&self, first: usize, n: usize) -> Self {
        assert!(first <= self.n && n <= self.n - first);
        // SAFETY: inside `[n, stride]`, or behind its end, by the assertion.
        Self { out: SendPtr(unsafe { self.out.get().add(first * self.stride) }), n, ..*self }
    }

    /// Writes `v` to rows `row..` of column `c`.
    #[inline(always)]
    pub fn store(&self, c: usize, row: usize, v: &[f32]) {
        assert!(c < self.n && self.first <= row && row + v.len() <= self.rows);
        let at = c * self.stride + row - self.first;
        // SAFETY: inside `[n, rows - first]` by the assertion; a chunk stores only to its own rows and each row belongs
        // to one chunk, so no other thread touches these elements; the owner is borrowed mutably for the whole region.
        unsafe { std::ptr::copy_nonoverlapping(v.as_ptr(), self.out.get().add(at), v.len()) }
    }

    /// Writes the rows of tile `tile` that exist.
    #[inline(always)]
    pub fn store_tile(&self, c: usize, tile: usize, v: &[f32; TILE_ROWS]) {
        let row = tile * TILE_ROWS;
        if row + TILE_ROWS <= self.rows {
            // Of a length that the compiler knows: a store instead of a call.
            self.store(c, row, v);
        } else {
            self.store(c, row, &v[..self.rows - row]);
        }
    }
}
