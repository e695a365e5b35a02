//! Gated delta nets (arXiv 2412.06464): layers that keep a matrix a head instead of all keys and values.
//!
//! Queries, keys and values of all heads go through a [`convolve`] over the last few positions, as
//! [`Then::SiluUnits`] says. Then each value head
//! updates its matrix `S` (`[dim, dim]`, keys by values) by the [`delta_rule`]: what `S` holds fades by a factor, and what
//! it answers to the key is corrected towards the value.
//!
//! ```text
//! S <- decay S + k (beta (v - decay S^T k))^T        out = S^T q
//! ```
//!
//! Position by position, in this order whatever the step: so a prompt gives the same bits as single tokens do.
//!
//! [`convolve`]: super::convolution::convolve
//! [`Then::SiluUnits`]: super::convolution::Then

mod channels;
mod rule;

pub use channels::{ChannelGates, channel_delta_rule};
pub use rule::delta_rule;

use super::recurrence::Matrices;
use crate::state::StateShape;

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
        self.matrices().padded_width()
    }

    /// Multiply-adds of the rule for one row.
    pub fn operations(&self) -> usize {
        4 * self.padded_width() * self.dim
    }

    /// What a layer keeps.
    pub fn state(&self) -> StateShape {
        self.matrices().state(self.taps, self.channels())
    }

    /// The row `r` of `rows` that [`delta_rule`] wrote to `from` (`[rows * padded_width]`), to `to` (`[width]`).
    ///
    /// # Panics
    /// When the lengths are others.
    pub fn gather(&self, from: &[f32], rows: usize, r: usize, to: &mut [f32]) {
        self.matrices().gather(from, rows, r, to);
    }

    /// The key head that value head `h` reads.
    pub(crate) fn key_head(&self, h: usize) -> usize {
        if self.interleaved { h % self.k_heads } else { h / (self.v_heads / self.k_heads) }
    }

    fn matrices(&self) -> Matrices {
        Matrices { heads: self.v_heads, k_dim: self.dim, v_dim: self.dim }
    }
}
