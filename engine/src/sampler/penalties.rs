//! Penalties on tokens that occurred lately.

use super::{Candidate, SamplerOptions};

/// Applies the three penalties to candidates that are still all there, in order of their ids. `recent` is a buffer.
pub(super) fn apply(o: &SamplerOptions, history: &[u32], recent: &mut Vec<u32>, candidates: &mut [Candidate]) {
    if o.repeat_penalty == 1.0 && o.frequency_penalty == 0.0 && o.presence_penalty == 0.0 {
        return;
    }
    recent.clear();
    recent.extend_from_slice(&history[history.len().saturating_sub(o.repeat_last_n)..]);
    recent.sort_unstable();
    for same in recent.chunk_by(|a, b| a == b) {
        let Some(c) = candidates.get_mut(same[0] as usize) else { continue };
        // Division would raise a negative logit.
        c.logit = if c.logit > 0.0 { c.logit / o.repeat_penalty } else { c.logit * o.repeat_penalty };
        c.logit -= same.len() as f32 * o.frequency_penalty + o.presence_penalty;
    }
}
