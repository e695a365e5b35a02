//! The hyperparameters of two stacks of layers that run in cycles.

use super::reader::Reader;
use crate::error::EngineError;

/// Two stacks of layers: the low one runs some times, then the high one once, and so on. Every run has caches of its own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cycles {
    /// Layers of each.
    pub stack: usize,
    /// Runs of the high one.
    pub high: usize,
    /// Runs of the low one before each of those.
    pub low: usize,
}

impl Cycles {
    /// Whether run `i` is one of the high stack.
    pub fn is_high(&self, i: usize) -> bool {
        i % (self.low + 1) == self.low
    }

    /// The layers of the file that run, those of the high stack behind those of the low one.
    pub fn layers(&self) -> impl Iterator<Item = usize> {
        let runs = 0..self.high * (self.low + 1);
        runs.flat_map(move |i| (0..self.stack).map(move |layer| usize::from(self.is_high(i)) * self.stack + layer))
    }
}

impl Reader<'_> {
    /// The cycles of a model with so many layers, those of all runs.
    pub(super) fn cycles(&self, layers: usize) -> Result<Cycles, EngineError> {
        let [stack, high, low] =
            ["layers_per_stack", "h_cycles", "l_cycles"].map(|key| self.need(&format!("hrm.{key}")));
        let c = Cycles { stack: stack?, high: high?, low: low? };
        if c.stack.saturating_mul(c.high).saturating_mul(c.low + 1) != layers {
            let reason = format!("{layers} layers are not {} of {} cycles of {} + 1", c.stack, c.high, c.low);
            return self.bad("block_count", reason);
        }
        if self.flag("hrm.prefix_lm")? == Some(true) {
            return self.bad("hrm.prefix_lm", "models whose prompts see later tokens are not supported");
        }
        Ok(c)
    }
}
