//! Matrix products: `out[n, rows] = x[n, cols] * w[rows, cols]^T`, any weight format, one row of x or hundreds.
//!
//! The loop levels, outermost first:
//!
//! ```text
//! chunk of tiles         taken off the team's counter by one thread
//!   tile group           GROUP tiles of 16 rows, regrouped into scratch (file layout) or used where they lie (packed)
//!     columns            up to 8 rows of x at a time; their blocks stay in L1 for the whole group
//!       tile
//!         sub-block      32 weights x 16 rows in registers: 8 dot instructions a column, then the two FMAs
//! ```
//!
//! The numeric contract, per output element and sub-block in ascending order: `isum` exact in i32, then
//! `acc = fma(scale * d, isum, acc)`, then for formats with an offset `acc = fma(offset * d, asum, acc)`.

use super::matmul_float::FloatTask;
use super::quantize::ActBlock;
use crate::format::{Float, Format, FormatVisitor, Quant, SUB, TILE_ROWS, pack_tile};
use crate::isa::{Isa, Kernel, scalar::Scalar};
use crate::team::{Crew, SendPtr};

/// How a matrix lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Row after row, as in the GGUF file.
    File,
    /// Tiles of 16 rows in lanes (see [`crate::format`]); the last tile is padded with zero rows.
    Packed,
}

/// A weight matrix `[rows, cols]` in one of the formats, borrowed from wherever it lies.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    format: Format,
    layout: Layout,
    rows: usize,
    cols: usize,
    data: &'a [u8],
}

/// The data of a matrix do not fit its shape.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// A row is not a whole number of blocks.
    #[error("rows of {cols} weights are not whole blocks of {} ({})", .format.block_len(), .format.name())]
    Row {
        /// The format.
        format: Format,
        /// Weights in a row.
        cols: usize,
    },
    /// Too few or too many bytes.
    #[error("a {} matrix of {rows} x {cols} takes {want:?} bytes, not {have}", .format.name())]
    Bytes {
        /// The format.
        format: Format,
        /// Rows.
        rows: usize,
        /// Weights in a row.
        cols: usize,
        /// Bytes needed, where that is a number at all.
        want: Option<usize>,
        /// Bytes given.
        have: usize,
    },
    /// Floating-point matrices are not packed.
    #[error("{} has no packed layout", .0.name())]
    NoPacked(Format),
}

impl<'a> Matrix<'a> {
    /// A checked view of `data`.
    pub fn new(format: Format, layout: Layout, rows: usize, cols: usize, data: &'a [u8]) -> Result<Self, ShapeError> {
        let row = format.row_bytes(cols).ok_or(ShapeError::Row { format, cols })?;
        let stored = match layout {
            Layout::File => Some(rows),
            Layout::Packed if !format.is_quant() => return Err(ShapeError::NoPacked(format)),
            Layout::Packed => rows.checked_next_multiple_of(TILE_ROWS),
        };
        let want = stored.and_then(|r| r.checked_mul(row));
        if want != Some(data.len()) {
            return Err(ShapeError::Bytes { format, rows, cols, want, have: data.len() });
        }
        Ok(Self { format, layout, rows, cols, data })
    }

    /// The weight format.
    pub fn format(&self) -> Format {
        self.format
    }
    /// Output channels.
    pub fn rows(&self) -> usize {
        self.rows
    }
    /// Input channels.
    pub fn cols(&self) -> usize {
        self.cols
    }
    /// The bytes, in whatever layout.
    pub fn data(&self) -> &'a [u8] {
        self.data
    }

    /// Row `i` in file layout; `None` when packed or out of range.
    pub fn file_row(&self, i: usize) -> Option<&'a [u8]> {
        let bytes = self.format.row_bytes(self.cols)?;
        (self.layout == Layout::File && i < self.rows).then(|| &self.data[i * bytes..(i + 1) * bytes])
    }

    /// The same matrix regrouped to [`Layout::Packed`]; `None` for formats that have none or when it is packed already.
    pub fn pack(&self) -> Option<Vec<u8>> {
        struct Pack<'m>(&'m Matrix<'m>);
        impl FormatVisitor for Pack<'_> {
            type Out = Option<Vec<u8>>;
            fn quant<Q: Quant>(self) -> Self::Out {
                let m = self.0;
                let tile_bytes = m.cols / Q::BLOCK * Q::PACKED;
                let mut out = vec![0; m.rows.div_ceil(TILE_ROWS) * tile_bytes];
                for (t, out) in out.chunks_exact_mut(tile_bytes.max(1)).enumerate() {
                    pack_tile::<_, Q>(Scalar, &tile_rows::<Q>(m, t)[..tile_height(m.rows, t)], out);
                }
                Some(out)
            }
            fn float<T: Float>(self) -> Self::Out {
                None
            }
        }
        (self.layout == Layout::File).then(|| self.format.visit(Pack(self))).flatten()
    }
}

fn tile_height(rows: usize, tile: usize) -> usize {
    (rows - tile * TILE_ROWS).min(TILE_ROWS)
}

/// The rows of a tile in file layout; empty slices past the last.
fn tile_rows<'a, Q: Quant>(m: &Matrix<'a>, tile: usize) -> [&'a [u8]; TILE_ROWS] {
    let bytes = m.cols / Q::BLOCK * Q::BYTES;
    std::array::from_fn(|j| {
        let i = tile * TILE_ROWS + j;
        if i < m.rows { &m.data[i * bytes..(i + 1) * bytes] } else { &[] }
    })
}

/// The left operand in the two forms that formats ask for.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// `[n, cols]`, for floating-point weights.
    pub floats: &'a [f32],
    /// `[n, cols / 32]`, for block formats; may be empty when no block format reads it.
    pub blocks: &'a [ActBlock],
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

/// Tiles regrouped together so that a group of columns is read from L1 for all of them.
const GROUP: usize = 4;

/// Computes `n` rows of every product, all in one parallel region.
///
/// # Panics
/// When a buffer does not have the length that its comment says.
pub fn matmul(crew: &Crew<'_>, n: usize, products: &mut [Product<'_>]) {
    for p in &*products {
        assert_eq!(p.out.len(), n * p.w.rows, "output [n, rows]");
        match p.w.format.is_quant() {
            true => assert_eq!(p.x.blocks.len(), n * p.w.cols / SUB, "quantized input [n, cols / 32]"),
            false => assert_eq!(p.x.floats.len(), n * p.w.cols, "input [n, cols]"),
        }
    }
    if n == 0 {
        return;
    }
    // About eight chunks a thread, so that an uneven core costs little; whole groups when there are many columns.
    let tiles: usize = products.iter().map(|p| p.w.rows.div_ceil(TILE_ROWS)).sum();
    let mut per = tiles.div_ceil(crew.threads() * 8).max(1);
    if n > 1 {
        per = per.next_multiple_of(GROUP).min(tiles.div_ceil(crew.threads()).max(1));
    }
    let jobs: Vec<Job<'_>> = products
        .iter_mut()
        .map(|p| Job { w: p.w, x: p.x, out: SendPtr(p.out.as_mut_ptr()), chunks: p.w.rows.div_ceil(TILE_ROWS * per) })
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
        let tiles = job.w.rows.div_ceil(TILE_ROWS);
        let range = [chunk * per, ((chunk + 1) * per).min(tiles)];
        job.w.format.visit(Chunk { crew, worker, job, n, range });
    });
}

/// A product as the threads see it.
struct Job<'a> {
    w: Matrix<'a>,
    x: Input<'a>,
    out: SendPtr<f32>,
    chunks: usize,
}

struct Chunk<'a> {
    crew: &'a Crew<'a>,
    worker: usize,
    job: &'a Job<'a>,
    n: usize,
    range: [usize; 2],
}

impl FormatVisitor for Chunk<'_> {
    type Out = ();

    fn quant<Q: Quant>(self) {
        let (w, isa) = (&self.job.w, self.crew.isa());
        let tile_bytes = w.cols / Q::BLOCK * Q::PACKED;
        let out = Rows { out: self.job.out, n: self.n, rows: w.rows };
        for first in (self.range[0]..self.range[1]).step_by(GROUP) {
            let tiles = GROUP.min(self.range[1] - first);
            match w.layout {
                Layout::Packed => {
                    let packed = &w.data[first * tile_bytes..(first + tiles) * tile_bytes];
                    isa.run(Group::<Q>::new(packed, tiles, self.job.x.blocks, first, out));
                }
                Layout::File => self.crew.with_scratch(self.worker, tiles * tile_bytes, |scratch| {
                    for (t, tile) in scratch.chunks_exact_mut(tile_bytes.max(1)).enumerate() {
                        isa.run(Regroup::<Q>::new(w, first + t, tile));
                    }
                    isa.run(Group::<Q>::new(scratch, tiles, self.job.x.blocks, first, out));
                }),
            }
        }
    }

    fn float<T: Float>(self) {
        let rows = [self.range[0] * TILE_ROWS, (self.range[1] * TILE_ROWS).min(self.job.w.rows)];
        let out = Rows { out: self.job.out, n: self.n, rows: self.job.w.rows };
        let task = FloatTask::<T>::new(self.job.w.data, self.job.w.cols, self.job.x.floats, rows, out);
        self.crew.isa().run(task);
    }
}

/// The output of a product, of which a chunk writes the columns of its own rows.
#[derive(Clone, Copy)]
pub(super) struct Rows {
    out: SendPtr<f32>,
    pub n: usize,
    rows: usize,
}

impl Rows {
    /// Writes `v` to rows `row..` of column `c`.
    #[inline(always)]
    pub fn store(&self, c: usize, row: usize, v: &[f32]) {
        assert!(c < self.n && row + v.len() <= self.rows);
        // SAFETY: inside `[n, rows]` by the assertion; a chunk stores only to its own rows and each row belongs to one
        // chunk, so no other thread touches these elements; the owner is borrowed mutably for the whole region.
        unsafe { std::ptr::copy_nonoverlapping(v.as_ptr(), self.out.get().add(c * self.rows + row), v.len()) }
    }
}

struct Regroup<'a, Q> {
    rows: [&'a [u8]; TILE_ROWS],
    height: usize,
    out: &'a mut [u8],
    format: std::marker::PhantomData<Q>,
}

impl<'a, Q: Quant> Regroup<'a, Q> {
    fn new(w: &Matrix<'a>, tile: usize, out: &'a mut [u8]) -> Self {
        let height = tile_height(w.rows, tile);
        Self { rows: tile_rows::<Q>(w, tile), height, out, format: std::marker::PhantomData }
    }
}

impl<Q: Quant> Kernel for Regroup<'_, Q> {
    type Out = ();
    #[inline(always)]
    fn call<S: Isa>(self, s: S) {
        pack_tile::<S, Q>(s, &self.rows[..self.height], self.out);
    }
}

/// A few packed tiles (`count` of them, side by side in `data`) times all columns.
struct Group<'a, Q> {
    data: &'a [u8],
    count: usize,
    x: &'a [ActBlock],
    first: usize,
    out: Rows,
    format: std::marker::PhantomData<Q>,
}

impl<'a, Q: Quant> Group<'a, Q> {
    fn new(data: &'a [u8], count: usize, x: &'a [ActBlock], first: usize, out: Rows) -> Self {
        Self { data, count, x, first, out, format: std::marker::PhantomData }
    }

    #[inline(always)]
    fn columns<S: Isa, const C: usize>(&self, s: S, c: usize) {
        let per = self.x.len() / self.out.n;
        let x: [&[ActBlock]; C] = std::array::from_fn(|i| &self.x[(c + i) * per..][..per]);
        let bytes = self.data.len() / self.count;
        for t in 0..self.count {
            let tile = &self.data[t * bytes..][..bytes];
            let acc = tile_columns::<S, Q, C>(s, tile, x);
            let row = (self.first + t) * TILE_ROWS;
            let height = TILE_ROWS.min(self.out.rows - row);
            for (i, acc) in acc.into_iter().enumerate() {
                let mut v = [0.0; TILE_ROWS];
                s.f_store(&mut v, acc);
                self.out.store(c + i, row, &v[..height]);
            }
        }
    }
}

impl<Q: Quant> Kernel for Group<'_, Q> {
    type Out = ();
    #[inline(always)]
    fn call<S: Isa>(self, s: S) {
        let mut c = 0;
        while self.out.n - c >= 8 {
            self.columns::<S, 8>(s, c);
            c += 8;
        }
        if self.out.n - c >= 4 {
            self.columns::<S, 4>(s, c);
            c += 4;
        }
        if self.out.n - c >= 2 {
            self.columns::<S, 2>(s, c);
            c += 2;
        }
        if self.out.n > c {
            self.columns::<S, 1>(s, c);
        }
    }
}

/// One tile times `C` columns: the micro-kernel of every block format.
#[inline(always)]
fn tile_columns<S: Isa, Q: Quant, const C: usize>(s: S, tile: &[u8], x: [&[ActBlock]; C]) -> [S::F; C] {
    let subs = Q::BLOCK / SUB;
    let zero = if Q::BITS == 8 { S::SIGNED_ZERO } else { Q::ZERO };
    let mut acc = [s.f_splat(0.0); C];
    for (b, block) in tile.chunks_exact(Q::PACKED).enumerate() {
        for i in 0..subs {
            let lanes = Q::sub(s, block, i);
            for c in 0..C {
                let x = &x[c][b * subs + i];
                let isum = if Q::HALVES {
                    let [w0, w1, w2, w3, w4, w5, w6, w7] = lanes.w;
                    let [x0, x1, x2, x3, x4, x5, x6, x7] = x.q;
                    let lo = s.dot::<6, 4>(&[w0, w1, w2, w3], &[x0, x1, x2, x3], s.i_splat(-zero * x.half[0]));
                    let hi = s.dot::<6, 4>(&[w4, w5, w6, w7], &[x4, x5, x6, x7], s.i_splat(-zero * x.half[1]));
                    s.i_add(s.i_mul(lo, lanes.half[0]), s.i_mul(hi, lanes.half[1]))
                } else {
                    let init = s.i_splat(-zero * x.sum);
                    match Q::BITS {
                        0..=4 => s.dot::<4, 8>(&lanes.w, &x.q, init),
                        5 => s.dot::<5, 8>(&lanes.w, &x.q, init),
                        6 => s.dot::<6, 8>(&lanes.w, &x.q, init),
                        7 => s.dot::<7, 8>(&lanes.w, &x.q, init),
                        _ => s.dot::<8, 8>(&lanes.w, &x.q, init),
                    }
                };
                acc[c] = s.f_fma(s.f_mul(lanes.scale, s.f_splat(x.d)), s.i_to_f(isum), acc[c]);
                if Q::OFFSET {
                    acc[c] = s.f_fma(s.f_mul(lanes.offset, s.f_splat(x.d)), s.f_splat(x.sum as f32), acc[c]);
                }
            }
        }
    }
    acc
}
