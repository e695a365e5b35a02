//! What a packed file of a model holds, and where: all of it follows from the GGUF.

use super::header;
use super::identity::Identity;
use super::slot::Slot;
use hewn_kernels::Format;
use hewn_kernels::format::TILE_ROWS;
use hewn_kernels::op::matmul::{Layout, Matrix};
use hewn_loader::{Gguf, TensorInfo};
use std::ops::Range;
use std::sync::Arc;

/// Tensors start at multiples of this.
pub(crate) const ALIGN: u64 = 128;

/// A matrix that may be packed.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub tensor: TensorInfo,
    pub format: Format,
    pub rows: usize,
    pub cols: usize,
    /// Whether rows of it are looked up in the model's file besides.
    pub looked_up: bool,
    pub slot: Slot,
}

impl Target {
    /// Whether it has a packed form, whose padding to whole tiles is at most an eighth.
    fn is_packable(&self) -> bool {
        let padded = self.rows.checked_next_multiple_of(TILE_ROWS);
        self.format.is_quant() && padded.is_some_and(|p| p - self.rows <= self.rows / 8)
    }

    /// The matrix in the model's file.
    pub fn matrix<'a>(&self, gguf: &'a Gguf) -> Matrix<'a> {
        Matrix::new(self.format, Layout::File, self.rows, self.cols, gguf.tensor_data(&self.tensor))
            .expect("checked when the model was opened")
    }

    /// Bytes of a tile; the row is in the file, so this is far from overflowing in u64.
    pub fn tile_bytes(&self) -> u64 {
        (self.tensor.bytes / self.rows as u64).saturating_mul(TILE_ROWS as u64)
    }

    fn packed_bytes(&self) -> u64 {
        self.tile_bytes().saturating_mul(self.rows.div_ceil(TILE_ROWS) as u64)
    }
}

/// A matrix and its place in the packed file.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub target: Target,
    pub offset: u64,
    pub bytes: u64,
}

impl Item {
    /// The place in a file of `len` bytes; `None` when it is not within.
    pub fn range(&self, len: usize) -> Option<Range<usize>> {
        let start = usize::try_from(self.offset).ok()?;
        let end = start.checked_add(usize::try_from(self.bytes).ok()?)?;
        (end <= len).then_some(start..end)
    }
}

/// The packed file that a model would have.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub gguf: Arc<Gguf>,
    pub items: Vec<Item>,
}

impl Plan {
    /// Lays out those of the matrices that can be packed.
    pub fn new(gguf: Arc<Gguf>, targets: impl IntoIterator<Item = Target>) -> Self {
        let targets: Vec<Target> = targets.into_iter().filter(Target::is_packable).collect();
        let mut at = header::len(targets.iter().map(|t| t.tensor.name.as_str())).next_multiple_of(ALIGN);
        let items = targets.into_iter().map(|target| {
            let (offset, bytes) = (at, target.packed_bytes());
            at = at.saturating_add(bytes).checked_next_multiple_of(ALIGN).unwrap_or(u64::MAX);
            Item { target, offset, bytes }
        });
        Self { items: items.collect(), gguf }
    }

    /// Length of the packed file.
    pub fn file_len(&self) -> u64 {
        self.items.last().map_or(0, |i| i.offset.saturating_add(i.bytes))
    }

    /// Bytes of packed tensors in it.
    pub fn bytes(&self) -> u64 {
        self.items.iter().map(|i| i.bytes).fold(0, u64::saturating_add)
    }

    pub fn identity(&self) -> Identity {
        Identity::of(self)
    }

    /// The model's name for people: its file's.
    pub fn source_name(&self) -> String {
        let name = self.gguf.path().and_then(|p| p.file_name());
        name.map_or(String::new(), |n| n.to_string_lossy().into_owned())
    }
}
