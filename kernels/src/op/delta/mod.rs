//! Gated delta nets (arXiv 2412.06464): layers that keep a matrix a head instead of all keys and values.
//!
//! Queries, keys and values of all heads go through a [`convolve`] over the last few positions. Then each value head
//! updates its matrix `S` (`[dim, dim]`, keys by values) by the [`delta_rule`]: what `S` holds fades by a factor, and what
//! it answers to the key is corrected towards the value.
//!
//! ```text
//! S <- decay S + k (beta (v - decay S^T k))^T        out = S^T q
//! ```
//!
//! Position by position, in this order whatever the step: so a prompt gives the same bits as single tokens do.

mod conv;
mod rule;

pub use conv::{Convolution, convolve};
pub use rule::delta_rule;

use crate::kv::slab::{Tile, together};

/// Channels that are computed side by side.
const LANES: usize = 16;
/// Most taps of a convolution.
pub const MAX_TAPS: usize = 8;

/// The sizes of such a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeltaShape {
    /// Heads of queries, and of keys.
    pub k_heads: usize,
    /// Heads of values; a multiple of `k_heads`.
    pub v_heads: usize,
    /// Channels of each head.
    pub dim: usize,
    /// Positions that the convolution sees, its own among them; 1 to [`MAX_TAPS`].
    pub taps: usize,
    /// Whether value head `h` reads key head `h % k_heads`; otherwise neighbours share one.
    pub interleaved: bool,
}

impl DeltaShape {
    /// Channels that are convolved: those of queries, keys and values, in this order.
    pub fn channels(&self) -> usize {
        (2 * self.k_heads + self.v_heads) * self.dim
    }

    /// Channels of the values, and of the output.
    pub fn width(&self) -> usize {
        self.v_heads * self.dim
    }

    /// What [`delta_rule`] writes for each row: `width` with every head rounded up to whole lanes.
    pub fn padded_width(&self) -> usize {
        self.v_heads * self.groups() * LANES
    }

    /// Multiply-adds of the rule for one row.
    pub fn operations(&self) -> usize {
        4 * self.padded_width() * self.dim
    }

    /// Bytes of a [`DeltaState`].
    pub fn state_bytes(&self) -> usize {
        (self.tail_len() + self.matrices_len()) * size_of::<f32>()
    }

    /// The row `r` of `rows` that [`delta_rule`] wrote to `from` (`[rows * padded_width]`), to `to` (`[width]`).
    ///
    /// # Panics
    /// When the lengths are others.
    pub fn gather(&self, from: &[f32], rows: usize, r: usize, to: &mut [f32]) {
        assert_eq!((from.len(), to.len()), (rows * self.padded_width(), self.width()));
        for (head, out) in to.chunks_exact_mut(self.dim).enumerate() {
            for (group, out) in out.chunks_mut(LANES).enumerate() {
                let at = ((head * self.groups() + group) * rows + r) * LANES;
                out.copy_from_slice(&from[at..][..out.len()]);
            }
        }
    }

    /// The key head that value head `h` reads.
    pub(crate) fn key_head(&self, h: usize) -> usize {
        if self.interleaved { h % self.k_heads } else { h / (self.v_heads / self.k_heads) }
    }

    /// Groups of lanes in a head.
    fn groups(&self) -> usize {
        self.dim.div_ceil(LANES)
    }

    /// Floats of the rows that the convolution still needs, up to whole lanes.
    fn tail_len(&self) -> usize {
        ((self.taps - 1) * self.channels()).next_multiple_of(LANES)
    }

    /// Floats of the matrices.
    fn matrices_len(&self) -> usize {
        self.padded_width() * self.dim
    }
}

/// What one layer of one sequence keeps. Made of zeros, which take no memory before they are changed.
#[derive(Debug)]
pub struct DeltaState {
    shape: DeltaShape,
    /// Rows seen so far: row `i` is in slot `i % (taps - 1)` of the tail while it is needed.
    rows: usize,
    /// The tail, `[taps - 1, channels]`, and from [`DeltaShape::tail_len`] on the matrices, `[v_heads, groups, dim, 16]`:
    /// value channels in lanes.
    floats: Tile<f32>,
}

impl DeltaState {
    /// That of an empty sequence; `None` where memory does not suffice.
    pub fn new(shape: DeltaShape) -> Option<Self> {
        Self::several(shape, 1)?.pop()
    }

    /// Those of `count` layers of a sequence, side by side in huge pages: a token goes through all of them.
    pub fn several(shape: DeltaShape, count: usize) -> Option<Vec<Self>> {
        let floats = shape.tail_len().checked_add(shape.matrices_len())?;
        let tiles = together(floats, count).ok()?;
        Some(tiles.into_iter().map(|floats| Self { shape, rows: 0, floats }).collect())
    }

    /// The sizes.
    pub fn shape(&self) -> &DeltaShape {
        &self.shape
    }

    /// Makes it that of an empty sequence again.
    pub fn clear(&mut self) {
        if self.rows > 0 {
            self.floats.fill(0.0);
            self.rows = 0;
        }
    }

    /// Makes it the same as another of its shape.
    ///
    /// # Panics
    /// When the shapes differ.
    pub fn copy_from(&mut self, other: &Self) {
        assert_eq!(self.shape, other.shape);
        match other.rows {
            0 => self.clear(),
            rows => {
                self.floats.copy_from_slice(&other.floats);
                self.rows = rows;
            }
        }
    }

    /// The tail and the matrices.
    fn parts(&mut self) -> (&mut [f32], &mut [[f32; LANES]]) {
        let (tail, matrices) = self.floats.split_at_mut(self.shape.tail_len());
        (tail, matrices.as_chunks_mut().0)
    }

    /// Slot `slot` of the tail.
    fn slot(&self, slot: usize) -> &[f32] {
        let n = self.shape.channels();
        &self.floats[slot * n..][..n]
    }
}

/// Consecutive rows of one sequence within a step, and what its layer keeps.
#[derive(Debug)]
pub struct DeltaRows<'a> {
    /// The state before them; after [`convolve`] and [`delta_rule`], that behind them.
    pub state: &'a mut DeltaState,
    /// How many.
    pub rows: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_cleared_and_copied() {
        let shape = DeltaShape { k_heads: 1, v_heads: 2, dim: 20, taps: 4, interleaved: true };
        let Ok([mut a, mut b]) = <[DeltaState; 2]>::try_from(DeltaState::several(shape, 2).unwrap()) else { panic!() };
        assert_eq!(a.floats.len() * 4, shape.state_bytes());
        a.floats.fill(7.0);
        a.rows = 3;
        assert!(b.floats.iter().all(|v| *v == 0.0));
        b.copy_from(&a);
        assert!(b.rows == 3 && b.floats[..] == a.floats[..]);
        a.clear();
        assert!(a.rows == 0 && a.floats.iter().all(|v| *v == 0.0));
        b.copy_from(&a);
        assert!(b.rows == 0 && b.floats.iter().all(|v| *v == 0.0));
        assert!(DeltaState::new(DeltaShape { v_heads: usize::MAX / 4096, ..shape }).is_none());
    }
}
