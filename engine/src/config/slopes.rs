//! Attention scores that count less the further away a position is.

use super::reader::Reader;
use crate::arch::{Arch, Leaning};
use crate::error::EngineError;

impl Reader<'_> {
    /// What each position further away costs a score, head by head (ALiBi, arXiv 2108.12409): a geometric row for the largest
    /// power of two of heads, and for the others every second one of a row of twice as many.
    pub(super) fn slopes(&self, arch: &Arch, layers: usize, heads: usize) -> Result<Option<Vec<f32>>, EngineError> {
        let most = match arch.leaning {
            Leaning::Said => self.factor("attention.max_alibi_bias")?,
            Leaning::Always(most) => Some(most),
            Leaning::WithLayers(n, most) if n == layers => Some(most),
            Leaning::None | Leaning::WithLayers(..) => None,
        };
        let Some(most) = most.map(f64::from) else { return Ok(None) };
        let power = 1 << heads.max(1).ilog2();
        let slope = |h: usize| match h < power {
            true => libm::exp2(-most * (h + 1) as f64 / power as f64),
            false => libm::exp2(-most / 2.0 * (2 * (h - power) + 1) as f64 / power as f64),
        };
        Ok(Some((0..heads).map(|h| slope(h) as f32).collect()))
    }
}
