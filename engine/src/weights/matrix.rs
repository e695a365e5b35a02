//! References to matrices that stay in a file: whole tensors, and ranges of rows of them.

use super::LowRank;
use crate::packed::{Slot, Target};
use hewn_kernels::Format;
use hewn_kernels::format::TILE_ROWS;
use hewn_kernels::op::matmul::{Layout, Matrix};
use hewn_loader::{Gguf, TensorInfo};
use std::sync::Arc;

/// A tensor whose rows are those of one matrix or of several, one below the other.
#[derive(Debug)]
struct Stored {
    tensor: TensorInfo,
    format: Format,
    /// Rows of all matrices.
    rows: usize,
    cols: usize,
    row_bytes: usize,
    slot: Slot,
    elsewhere: Option<Elsewhere>,
}

/// Where a matrix lies that is not in the model's file.
#[derive(Debug)]
pub(crate) enum Elsewhere {
    /// In another file.
    File(Arc<Gguf>),
    /// In memory, as f32.
    Numbers(Vec<f32>),
}

/// A matrix `[rows, cols]` that stays in the file, or in a packed file once it was switched to that.
#[derive(Clone, Debug)]
pub(crate) struct MatrixRef {
    stored: Arc<Stored>,
    /// Where it starts among the tensor's rows.
    first: usize,
    pub rows: usize,
    pub cols: usize,
    /// What is added to its product.
    pub low: Vec<LowRank>,
}

impl MatrixRef {
    /// All rows of a tensor whose shape and bytes were checked.
    pub fn whole(tensor: TensorInfo, format: Format, rows: usize, cols: usize) -> Self {
        let row_bytes = format.row_bytes(cols).unwrap_or(0);
        let stored = Stored { tensor, format, rows, cols, row_bytes, slot: Slot::default(), elsewhere: None };
        Self { stored: Arc::new(stored), first: 0, rows, cols, low: Vec::new() }
    }

    /// The same of a tensor that is not the model's; its bytes were checked, too.
    pub fn elsewhere(tensor: TensorInfo, format: Format, [rows, cols]: [usize; 2], at: Elsewhere) -> Self {
        let row_bytes = format.row_bytes(cols).unwrap_or(0);
        let stored = Stored { tensor, format, rows, cols, row_bytes, slot: Slot::default(), elsewhere: Some(at) };
        Self { stored: Arc::new(stored), first: 0, rows, cols, low: Vec::new() }
    }

    /// The same with these adapters.
    pub fn with(self, low: Vec<LowRank>) -> Self {
        Self { low, ..self }
    }

    /// `rows` of its rows from `first` on.
    pub fn part(&self, first: usize, rows: usize) -> Self {
        assert!(first + rows <= self.rows, "rows of the tensor");
        let low = self.low.iter().map(|low| low.part(first, rows)).collect();
        Self { stored: self.stored.clone(), first: self.first + first, rows, cols: self.cols, low }
    }

    /// The view of the bytes to be read now. The shape was checked when the reference was made; the layout may be
    /// another at the next call.
    pub fn view<'a>(&'a self, gguf: &'a Gguf) -> Matrix<'a> {
        self.rows(gguf, 0, self.rows)
    }

    /// The view of `n` of its rows from `first` on.
    fn rows<'a>(&'a self, gguf: &'a Gguf, first: usize, n: usize) -> Matrix<'a> {
        let s = &*self.stored;
        let (start, end) = (self.first + first, self.first + first + n);
        // A packed tensor has as many bytes a row, and only parts that are whole tiles but for the last.
        let (layout, data, end) = match (s.slot.get(), &s.elsewhere) {
            (Some(packed), _) => (Layout::Packed, packed, end.next_multiple_of(TILE_ROWS)),
            (None, None) => (Layout::File, gguf.tensor_data(&s.tensor), end),
            (None, Some(Elsewhere::File(other))) => (Layout::File, other.tensor_data(&s.tensor), end),
            (None, Some(Elsewhere::Numbers(all))) => (Layout::File, bytemuck::cast_slice(all), end),
        };
        let data = &data[start * s.row_bytes..end * s.row_bytes];
        Matrix::new(s.format, layout, n, s.cols, data).expect("checked when the model was opened")
    }

    /// The same matrix with a switch of its own, and without adapters.
    pub fn apart(&self) -> Self {
        let s = &*self.stored;
        Self::whole(s.tensor.clone(), s.format, s.rows, s.cols)
    }

    /// The whole tensor as something to be packed.
    pub fn target(&self, looked_up: bool) -> Target {
        let s = &*self.stored;
        let (tensor, slot) = (s.tensor.clone(), s.slot.clone());
        Target { tensor, format: s.format, rows: s.rows, cols: s.cols, looked_up, slot }
    }

    /// Whether products take quantized activations.
    pub fn is_quant(&self) -> bool {
        self.stored.format.is_quant()
    }
}

/// Several matrices `[rows, cols]`, such as those of the experts.
#[derive(Clone, Debug)]
pub(crate) struct Stack {
    /// One tensor with all of them, or a tensor for each.
    tensors: Vec<MatrixRef>,
    pub rows: usize,
    /// In one tensor: the row where the first begins, and how far the next is from it.
    first: usize,
    stride: usize,
}

impl Stack {
    /// The matrices of `rows` rows each that make up `all`.
    pub fn new(all: MatrixRef, rows: usize) -> Self {
        assert!(all.rows.is_multiple_of(rows), "whole matrices");
        Self { tensors: vec![all], rows, first: 0, stride: rows }
    }

    /// The matrices of `rows` rows each that lie in turns in `all`: the first of one stack, the first of the other, and
    /// so on.
    pub fn in_turns(all: MatrixRef, rows: usize) -> [Self; 2] {
        assert!(all.rows.is_multiple_of(2 * rows), "whole pairs of matrices");
        [0, rows].map(|first| {
            let low = all.low.iter().map(|low| low.part(first, rows)).collect();
            Self { tensors: vec![all.clone().with(low)], rows, first, stride: 2 * rows }
        })
    }

    /// `rows` of the rows of each from `first` on, where all are in one tensor.
    pub fn part(&self, first: usize, rows: usize) -> Self {
        assert!(first + rows <= self.rows && self.tensors.len() == 1, "rows of each matrix");
        Self { tensors: self.tensors.clone(), rows, first: self.first + first, stride: self.stride }
    }

    /// Matrices that are tensors of their own, all of them `rows` high and all of blocks or none.
    pub fn of(each: Vec<MatrixRef>, rows: usize) -> Self {
        assert!(each.iter().all(|m| m.rows == rows && m.is_quant() == each[0].is_quant()), "alike");
        Self { tensors: each, rows, first: 0, stride: rows }
    }

    /// Numbers of a row.
    pub fn cols(&self) -> usize {
        self.tensors[0].cols
    }

    /// The view of matrix `i`.
    pub fn view<'a>(&'a self, gguf: &'a Gguf, i: usize) -> Matrix<'a> {
        match &self.tensors[..] {
            [all] => all.rows(gguf, self.first + i * self.stride, self.rows),
            each => each[i].view(gguf),
        }
    }

    /// What is added to the products of matrix `i`, and which of the matrices there.
    pub fn low(&self, i: usize) -> (&[LowRank], usize) {
        match &self.tensors[..] {
            [all] => (&all.low, i),
            each => (&each[i].low, 0),
        }
    }

    /// Whether anything is added to the products of one.
    pub fn is_adapted(&self) -> bool {
        self.tensors.iter().any(|m| !m.low.is_empty())
    }

    /// Whether products take quantized activations.
    pub fn is_quant(&self) -> bool {
        self.tensors[0].is_quant()
    }
}
