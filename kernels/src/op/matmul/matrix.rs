//! A weight matrix as the kernels see it: a format, a shape, and bytes that somebody else holds.

use crate::format::{Float, Format, FormatVisitor, LooseRows, Quant, TILE_ROWS, pack_tile};
use crate::isa::scalar::Scalar;
use std::ops::Range;

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
    /// How the bytes lie.
    pub fn layout(&self) -> Layout {
        self.layout
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
                let zeros = vec![0; m.cols / Q::BLOCK * Q::BYTES];
                let mut out = vec![0; m.rows.div_ceil(TILE_ROWS) * tile_bytes];
                for (t, out) in out.chunks_exact_mut(tile_bytes.max(1)).enumerate() {
                    pack_tile::<_, Q>(Scalar, padded(m, t, &zeros), out);
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

/// The rows of a tile, bytes `part` of each. Past the last row of the matrix they are the last one again: whoever
/// multiplies them drops the result.
pub(super) fn tile_rows<'a>(m: &Matrix<'a>, tile: usize, part: Range<usize>) -> LooseRows<'a> {
    let bytes = m.format.row_bytes(m.cols).expect("checked when the matrix was made");
    LooseRows::new(std::array::from_fn(|j| {
        let i = (tile * TILE_ROWS + j).min(m.rows - 1);
        &m.data[i * bytes..(i + 1) * bytes][part.clone()]
    }))
}

/// The rows of a tile, with `zeros` past the last row of the matrix: what a packed matrix holds.
pub(crate) fn padded<'a>(m: &Matrix<'a>, tile: usize, zeros: &'a [u8]) -> LooseRows<'a> {
    LooseRows::new(std::array::from_fn(|j| m.file_row(tile * TILE_ROWS + j).unwrap_or(zeros)))
}
