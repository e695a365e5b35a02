//! Queries that grow with their position.

use super::reader::Reader;
use super::{ModelConfig, Rope};
use crate::arch::Arch;
use crate::error::EngineError;

/// Queries of position `p` are multiplied with `1 + scale ln(1 + floor((p + ahead) / every))` (Llama 4's and Ministral 3's
/// temperature).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Growth {
    /// How much.
    pub scale: f32,
    /// Positions from one step to the next.
    pub every: usize,
    /// What is added to positions.
    pub ahead: usize,
    /// Whether only layers that do not turn queries and keys do it.
    pub unturned_only: bool,
}

impl ModelConfig {
    /// What a query at a position is multiplied with; see [`temperature`](Self::temperature).
    pub(crate) fn query_factor(&self, pos: usize) -> f32 {
        self.temperature.map_or(1.0, |t| {
            let steps = ((pos + t.ahead) / t.every) as f64;
            (1.0 + f64::from(t.scale) * libm::log(1.0 + steps)) as f32
        })
    }
}

impl ModelConfig {
    /// What the bounded scores of a query at a position are multiplied with; see [`heat`](Self::heat).
    pub(crate) fn score_factor(&self, pos: usize) -> f32 {
        match self.heat {
            Some(from) if pos > from => (libm::log2(pos as f64) / libm::log2(from as f64)) as f32,
            _ => 1.0,
        }
    }
}

impl Reader<'_> {
    /// Positions up to which bounded scores stay as they are.
    pub(super) fn heat(&self) -> Result<Option<usize>, EngineError> {
        let key = "attention.temperature_length";
        match self.size_or_none(key)? {
            Some(1) => self.bad(key, "1 has no logarithm to divide by"),
            length => Ok(length),
        }
    }

    pub(super) fn temperature(&self, arch: &Arch, rope: &Rope) -> Result<Option<Growth>, EngineError> {
        let key = "attention.temperature_scale";
        let said = self.factor(key)?;
        match (said, arch.temperature) {
            (Some(scale), None) if arch.latent => {
                let every = self.need("attention.temperature_length")?;
                Ok(Some(Growth { scale, every, ahead: 0, unturned_only: false }))
            }
            (said, Some(own)) => {
                let every = self.size("attention.temperature_length")?.unwrap_or(own.every);
                let scale = said.unwrap_or(own.scale);
                Ok(Some(Growth { scale, every, ahead: 1, unturned_only: true }))
            }
            (said, None) => {
                let every = rope.original_ctx;
                Ok(said.map(|scale| Growth { scale, every, ahead: 0, unturned_only: false }))
            }
        }
    }
}
