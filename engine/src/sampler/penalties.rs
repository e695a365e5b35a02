//! Penalties on tokens that occurred lately.

use super::{Candidate, SamplerOptions};
use std::collections::HashMap;

/// Applies the three penalties to candidates that are still in order of their ids.
pub(super) fn apply(o: &SamplerOptions, history: &[u32], candidates: &mut [Candidate]) {
    if o.repeat_penalty == 1.0 && o.frequency_penalty == 0.0 && o.presence_penalty == 0.0 {
        return;
    }
    let recent = &history[history.len().saturating_sub(o.repeat_last_n)..];
    let mut counts: HashMap<u32, u32> = HashMap::new();
    recent.iter().for_each(|t| *counts.entry(*t).or_default() += 1);
    for (id, n) in counts {
        let Some(c) = candidates.get_mut(id as usize) else { continue };
        // Division would raise a negative logit.
        c.logit = if c.logit > 0.0 { c.logit / o.repeat_penalty } else { c.logit * o.repeat_penalty };
        c.logit -= n as f32 * o.frequency_penalty + o.presence_penalty;
    }
}
