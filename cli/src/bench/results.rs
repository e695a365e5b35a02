//! What was measured: as values, and as the file that `--compare` reads.

use crate::roofline::Machine;
use serde::{Deserialize, Serialize};

/// A run of `hewn bench`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// Where it ran.
    pub machine: Machine,
    /// Repetitions of every test.
    pub repetitions: usize,
    /// Seed of the tokens.
    pub seed: u64,
    /// One for each combination.
    pub results: Vec<Row>,
}

/// One combination.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    /// The file's name.
    pub model: String,
    /// Bytes of its tensors.
    pub size_bytes: u64,
    /// Weights in them.
    pub parameters: u64,
    /// `packed` or `file`.
    pub layout: String,
    /// Number format of the cache.
    pub kv: String,
    /// Tokens of a prompt computed at once.
    pub chunk: usize,
    /// Instruction set.
    pub isa: String,
    /// Threads.
    pub threads: usize,
    /// The test's name.
    pub test: String,
    /// Tokens per second, of all sequences together, in each repetition.
    pub samples: Vec<f64>,
    /// Of the samples.
    pub tokens_per_s: Spread,
    /// 10^9 bytes of weights and cache read per second, at the median speed.
    pub gb_per_s: f64,
    /// 10^9 operations of the matrices per second, at the median speed.
    pub gop_per_s: f64,
    /// `memory` or `arithmetic`: which of the two takes longer at its ceiling.
    pub bound: String,
    /// The read rate measured beside it.
    pub read_ceiling_gb_per_s: f64,
    /// The rate of the model's mix of products measured beside it.
    pub arithmetic_ceiling_gop_per_s: f64,
    /// The time at the ceiling over the time taken; the median of the repetitions.
    pub share: f64,
    /// Where the weights of each token are read: the rate at which the same threads read the same weights with nothing done
    /// to them, in 10^9 bytes per second. Less than the read rate where they lie in memory that is slower to reach: in
    /// small pages, on another node, or where a hypervisor put it.
    #[serde(default)]
    pub weights_gb_per_s: Option<f64>,
    /// The time that all bytes read take at that rate over the time taken; the median of the repetitions.
    #[serde(default)]
    pub share_of_reading: Option<f64>,
}

/// Where the middle and the ends of some samples lie.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Half of them are below.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The most.
    pub max: f64,
}

impl Spread {
    /// Of at least one sample.
    pub fn of(samples: &[f64]) -> Self {
        let mut s = samples.to_vec();
        s.sort_by(f64::total_cmp);
        let at = |i: usize| s.get(i).copied().unwrap_or(f64::NAN);
        let (n, half) = (s.len(), s.len() / 2);
        let median = if n % 2 == 1 { at(half) } else { (at(half.wrapping_sub(1)) + at(half)) / 2.0 };
        Self { median, min: at(0), max: at(n.wrapping_sub(1)) }
    }
}

impl Row {
    /// What two runs must have in common to be compared.
    pub fn key(&self) -> [String; 7] {
        let r = self;
        [&r.model, &r.layout, &r.kv, &r.chunk.to_string(), &r.isa, &r.threads.to_string(), &r.test].map(Clone::clone)
    }
}

#[cfg(test)]
mod tests {
    use super::Spread;

    #[test]
    fn medians() {
        assert_eq!(Spread::of(&[3.0, 1.0, 2.0]), Spread { median: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(Spread::of(&[4.0, 1.0]), Spread { median: 2.5, min: 1.0, max: 4.0 });
        assert!(Spread::of(&[]).median.is_nan());
    }
}
