//! What a profile says, as values; the fields are those of `--json`.

use crate::roofline::{Bound, Limits, Machine};
use serde::Serialize;
use std::collections::BTreeMap;

/// A run of `hewn profile`.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Where it ran.
    pub machine: Machine,
    /// What ran.
    pub model: ModelFacts,
    /// How.
    pub settings: Settings,
    /// Bytes and operations per second that the threads reach at the most, measured before and after.
    pub ceilings: Limits,
    /// Bytes per second at which the threads read this model's weights with nothing done to them: less than the reads from
    /// memory where they lie in small pages, on another node, or where a hypervisor put them.
    pub weights_alone: f64,
    /// Why there are no hardware counters, where there are none.
    pub counters_missing: Option<String>,
    /// `prefill` and `decode`, those that were asked for.
    pub phases: Vec<Phase>,
}

#[derive(Debug, Serialize)]
pub struct ModelFacts {
    pub file: String,
    pub architecture: String,
    pub layers: usize,
    pub channels: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub vocabulary: usize,
    pub parameters: u64,
    pub size_bytes: u64,
    /// Bytes of tensors by format.
    pub formats: BTreeMap<String, u64>,
    /// `packed` or `file`.
    pub layout: String,
    /// The part of the weights in memory that lies in huge pages; none where the system does not tell.
    pub huge_pages: Option<f64>,
}

#[derive(Debug, Serialize)]
pub struct Settings {
    pub threads: usize,
    pub isa: String,
    pub kv: String,
    pub chunk: usize,
    /// Tokens in the context before the prompt.
    pub depth: usize,
    pub prompt_tokens: usize,
    pub generated_tokens: usize,
}

/// Thread-seconds in which a thread did nothing, by reason.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Lost {
    /// The leader worked alone, outside of a parallel region.
    pub serial: f64,
    /// A region was open, but the thread had not come yet (or never came): what barriers and waking up cost.
    pub barrier: f64,
    /// The thread was done, and others were not: imbalance.
    pub imbalance: f64,
}

impl Lost {
    pub fn total(&self) -> f64 {
        self.serial + self.barrier + self.imbalance
    }

    pub fn add(&mut self, o: &Self) {
        self.serial += o.serial;
        self.barrier += o.barrier;
        self.imbalance += o.imbalance;
    }
}

/// A prompt, or an answer.
#[derive(Debug, Serialize)]
pub struct Phase {
    pub name: &'static str,
    pub tokens: usize,
    pub steps: usize,
    pub wall_seconds: f64,
    pub tokens_per_s: f64,
    /// The sum over the operations.
    pub operation_seconds: f64,
    /// The sum over the operations of the least time that each could take, over the wall time.
    pub of_ceilings: f64,
    pub lost: Lost,
    /// `lost` as a share of all threads' time.
    pub lost_share: f64,
    pub operations: Vec<OpRow>,
    pub layers: Vec<LayerRow>,
    /// By name: `cycles`, `instructions` and so on, of all threads.
    pub counters: BTreeMap<&'static str, u64>,
}

/// An operation, over all layers and steps.
#[derive(Debug, Serialize)]
pub struct OpRow {
    pub operation: &'static str,
    pub calls: usize,
    pub seconds: f64,
    /// Of the phase's wall time.
    pub share: f64,
    pub weight_bytes: u64,
    pub kv_bytes: u64,
    pub activation_bytes: u64,
    pub operations: u64,
    /// All bytes over the time.
    pub gb_per_s: f64,
    pub gop_per_s: f64,
    pub bound: Bound,
    /// The time at that bound's ceiling over the time taken.
    pub of_ceiling: f64,
    pub lost: Lost,
    /// `lost` as a share of all threads' time in it.
    pub lost_share: f64,
}

/// A layer, over all steps; none for what comes before the first and after the last.
#[derive(Debug, Serialize)]
pub struct LayerRow {
    pub layer: Option<usize>,
    pub seconds: f64,
    pub operations: BTreeMap<&'static str, f64>,
}
