//! The ceilings of one team, and which of them bounds a piece of work.

use crate::errors::CliError;
use hewn_engine::record::Cost;
use hewn_engine::{EngineError, Team, TeamError};
use hewn_kernels::probe::{Buffer, DotKind, cached_read_rate, data_caches, dot_rate, fma_rate, read_rate};
use serde::{Deserialize, Serialize};
use std::fmt::{Display, Formatter};
use std::time::Duration;

/// How long a pass of a measurement takes.
const PASS: Duration = Duration::from_millis(5);
const PASSES: usize = 4;

/// In bytes and operations per second of all threads together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Limits {
    /// Reads from memory.
    pub memory: f64,
    /// Reads from the cores' own caches.
    pub cache: f64,
    /// Products of 8-bit integers, weights of up to four bits.
    pub narrow: f64,
    /// Products of 8-bit integers, signed weights.
    pub signed: f64,
    /// Multiply-adds of f32.
    pub float: f64,
}

/// What a piece of work cannot be faster than.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bound {
    /// Reading weights and cached keys and values from memory.
    Memory,
    /// Reading and writing activations in the caches.
    Cache,
    /// Multiplying and adding.
    Arithmetic,
    /// Nothing: there is nothing to read or to compute.
    None,
}

impl Display for Bound {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Memory => "memory",
            Self::Cache => "cache",
            Self::Arithmetic => "arithmetic",
            Self::None => "-",
        })
    }
}

impl Limits {
    /// Measures them with the team's threads and instruction set; `buffer` is larger than the caches.
    pub fn measure(team: &Team, buffer: &Buffer) -> Result<Self, CliError> {
        // The largest cache that is a core's own: the last but one, where there are several.
        let caches = data_caches();
        let own = caches.len().checked_sub(2).and_then(|i| caches.get(i)).or(caches.first());
        let bytes = own.map_or(128 << 10, |c| c.bytes / 2).clamp(16 << 10, 1 << 20);
        let part = Buffer::new(team, bytes);
        let part = part.ok_or_else(|| CliError::failure("not enough memory", "close other programs"))?;
        let measure = || -> Result<Self, TeamError> {
            Ok(Self {
                memory: read_rate(team, buffer, PASSES)?,
                cache: cached_read_rate(team, &part, PASS, PASSES)?,
                narrow: dot_rate(team, DotKind::Narrow, PASS, PASSES)?,
                signed: dot_rate(team, DotKind::Signed, PASS, PASSES)?,
                float: fma_rate(team, PASS, PASSES)?,
            })
        };
        measure().map_err(|e| EngineError::from(e).into())
    }

    /// The higher of each.
    pub fn max(self, o: Self) -> Self {
        Self {
            memory: self.memory.max(o.memory),
            cache: self.cache.max(o.cache),
            narrow: self.narrow.max(o.narrow),
            signed: self.signed.max(o.signed),
            float: self.float.max(o.float),
        }
    }

    /// Seconds that work takes at the least, and what they are spent on: the longest of the times for reading from memory,
    /// for moving activations, and for computing.
    pub fn least(&self, c: &Cost) -> (f64, Bound) {
        let part = |n: u64, rate: f64| if n > 0 { n as f64 / rate } else { 0.0 };
        let arithmetic =
            part(2 * c.narrow, self.narrow) + part(2 * c.signed, self.signed) + part(2 * c.float, self.float);
        let all = [
            (part(c.weight_bytes + c.kv_bytes, self.memory), Bound::Memory),
            (part(c.activation_bytes, self.cache), Bound::Cache),
            (arithmetic, Bound::Arithmetic),
        ];
        all.into_iter().fold((0.0, Bound::None), |best, next| if next.0 > best.0 { next } else { best })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_time_bounds() {
        let l = Limits { memory: 10.0, cache: 100.0, narrow: 1000.0, signed: 500.0, float: 50.0 };
        let c = Cost { weight_bytes: 100, kv_bytes: 20, activation_bytes: 500, narrow: 1000, ..Cost::default() };
        assert_eq!(l.least(&c), (12.0, Bound::Memory));
        assert_eq!(l.least(&Cost { narrow: 10_000, signed: 1000, ..c }), (24.0, Bound::Arithmetic));
        assert_eq!(l.least(&Cost { activation_bytes: 5000, ..c }), (50.0, Bound::Cache));
        assert_eq!(l.least(&Cost::default()), (0.0, Bound::None));
    }
}
