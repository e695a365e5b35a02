//! Running states: what a layer keeps of a sequence where that does not grow with it.
//!
//! The *tail* has the last rows that a causal convolution still needs, the *matrices* are what a recurrence of fixed size
//! remembers. A state has no way back to an earlier position; but it can be copied.

use crate::kv::slab::{Tile, together};

/// Channels that are computed side by side.
pub(crate) const LANES: usize = 16;
/// Most taps of a convolution.
pub const MAX_TAPS: usize = 8;

/// The size of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateShape {
    /// Positions that the convolution sees, its own among them; 1 to [`MAX_TAPS`]. Where rows are only kept, any number.
    pub taps: usize,
    /// Channels that are convolved.
    pub channels: usize,
    /// Numbers of all matrices, in whole groups of 16.
    pub matrices: usize,
}

impl StateShape {
    /// Bytes of a [`RunningState`].
    pub fn bytes(&self) -> usize {
        self.tail_len().saturating_add(self.matrices).saturating_mul(size_of::<f32>())
    }

    /// Floats of the tail, up to whole lanes.
    fn tail_len(&self) -> usize {
        (self.taps - 1).saturating_mul(self.channels).checked_next_multiple_of(LANES).unwrap_or(usize::MAX)
    }
}

/// What one layer of one sequence keeps. Made of zeros, which take no memory before they are changed.
#[derive(Debug)]
pub struct RunningState {
    shape: StateShape,
    /// Rows seen so far, or 1 where rows leave nothing but the matrices: row `i` is in slot `i % (taps - 1)` of the tail while it is needed.
    rows: usize,
    /// The tail, `[taps - 1, channels]`, and from [`StateShape::tail_len`] on the matrices.
    floats: Tile<f32>,
}

impl RunningState {
    /// That of an empty sequence; `None` where memory does not suffice.
    pub fn new(shape: StateShape) -> Option<Self> {
        Self::several(shape, 1)?.pop()
    }

    /// Those of `count` layers of a sequence, side by side in huge pages: a token goes through all of them.
    pub fn several(shape: StateShape, count: usize) -> Option<Vec<Self>> {
        let floats = shape.tail_len().checked_add(shape.matrices)?;
        let tiles = together(floats, count).ok()?;
        Some(tiles.into_iter().map(|floats| Self { shape, rows: 0, floats }).collect())
    }

    /// The size.
    pub fn shape(&self) -> &StateShape {
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

    /// Rows seen so far, or 1 where rows leave nothing but the matrices.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// All of its numbers, as they lie in memory.
    pub fn floats(&self) -> &[f32] {
        &self.floats
    }

    /// The same, to be filled with those of a state of the same shape that had seen so many rows.
    pub fn floats_mut(&mut self, rows: usize) -> &mut [f32] {
        self.rows = rows;
        &mut self.floats
    }

    /// The matrices, in groups of lanes, for a change.
    pub(crate) fn matrices(&mut self) -> &mut [[f32; LANES]] {
        self.rows = self.rows.max(1);
        self.floats[self.shape.tail_len()..].as_chunks_mut().0
    }

    /// The row so far back (`[channels]`): 1 is the last one, `taps - 1` the most. Before the sequence's first row there are
    /// zeros, as there are in a slot that was never filled.
    pub fn before(&self, back: usize) -> &[f32] {
        let (n, slots) = (self.shape.channels, self.shape.taps - 1);
        &self.floats[(self.rows + slots - back) % slots * n..][..n]
    }

    /// The row before, where only one is kept (`[channels]`); zeros before the sequence's first.
    pub fn last(&self) -> &[f32] {
        self.before(1)
    }

    /// Puts a part of a row that is now the one before to where it is kept, from channel `from` on.
    ///
    /// # Panics
    /// When more than one row is kept, or the channels are not among them.
    pub fn keep(&mut self, from: usize, part: &[f32]) {
        assert_eq!(self.shape.taps, 2, "one row is kept");
        self.rows = 1;
        self.floats[..self.shape.channels][from..][..part.len()].copy_from_slice(part);
    }

    /// Goes on by the rows of `raw` (`[rows, channels]`) and keeps the last ones.
    pub fn push(&mut self, raw: &[f32]) {
        let (channels, slots, before) = (self.shape.channels, self.shape.taps - 1, self.rows);
        let rows = raw.len() / channels;
        self.rows += rows;
        for row in rows.saturating_sub(slots)..rows {
            let slot = (before + row) % slots;
            self.floats[slot * channels..][..channels].copy_from_slice(&raw[row * channels..][..channels]);
        }
    }
}

/// Consecutive rows of one sequence within a step, and what its layer keeps.
#[derive(Debug)]
pub struct StateRows<'a> {
    /// The state before them; after the operations of the layer, that behind them.
    pub state: &'a mut RunningState,
    /// How many.
    pub rows: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_cleared_and_copied() {
        let shape = StateShape { taps: 4, channels: 81, matrices: 1280 };
        let Ok([mut a, mut b]) = <[RunningState; 2]>::try_from(RunningState::several(shape, 2).unwrap()) else {
            panic!()
        };
        assert_eq!(a.floats.len() * 4, shape.bytes());
        a.floats.fill(7.0);
        a.rows = 3;
        assert!(b.floats.iter().all(|v| *v == 0.0));
        b.copy_from(&a);
        assert!(b.rows == 3 && b.floats[..] == a.floats[..]);
        a.clear();
        assert!(a.rows == 0 && a.floats.iter().all(|v| *v == 0.0));
        b.copy_from(&a);
        assert!(b.rows == 0 && b.floats.iter().all(|v| *v == 0.0));
        for (channels, matrices) in [(usize::MAX / 2, 16), (16, usize::MAX / 16 * 16)] {
            assert!(RunningState::new(StateShape { channels, matrices, ..shape }).is_none());
        }
    }

    #[test]
    fn the_last_rows_are_kept() {
        let mut state = RunningState::new(StateShape { taps: 4, channels: 2, matrices: 16 }).unwrap();
        let back = |s: &RunningState| [1, 2, 3].map(|back| s.before(back)[1]);
        assert_eq!(back(&state), [0.0; 3]);
        state.push(&[0.0, 1.0]);
        state.push(&[]);
        assert_eq!(back(&state), [1.0, 0.0, 0.0]);
        state.push(&[0.0, 2.0, 0.0, 3.0, 0.0, 4.0, 0.0, 5.0]);
        assert_eq!(back(&state), [5.0, 4.0, 3.0]);
        state.push(&[0.0, 6.0, 0.0, 7.0]);
        assert_eq!(back(&state), [7.0, 6.0, 5.0]);
        let mut state = RunningState::new(StateShape { taps: 2, channels: 3, matrices: 16 }).unwrap();
        assert_eq!(state.last(), [0.0; 3]);
        state.keep(0, &[1.0]);
        state.keep(1, &[2.0, 3.0]);
        state.keep(0, &[4.0]);
        assert_eq!(state.last(), [4.0, 2.0, 3.0]);
        state.clear();
        assert_eq!(state.last(), [0.0; 3]);
    }
}
