//! Penalties on tokens that occurred lately.

use super::SamplerOptions;

/// Whether there are any.
pub(super) fn some(o: &SamplerOptions) -> bool {
    o.repeat_penalty != 1.0 || o.frequency_penalty != 0.0 || o.presence_penalty != 0.0
}

/// Applies the three penalties. `recent` is a buffer.
pub(super) fn apply(o: &SamplerOptions, history: &[u32], recent: &mut Vec<u32>, logits: &mut [f32]) {
    recent.clear();
    recent.extend_from_slice(&history[history.len().saturating_sub(o.repeat_last_n)..]);
    recent.sort_unstable();
    for same in recent.chunk_by(|a, b| a == b) {
        let Some(logit) = logits.get_mut(same[0] as usize) else { continue };
        // Division would raise a negative logit.
        *logit = if *logit > 0.0 { *logit / o.repeat_penalty } else { *logit * o.repeat_penalty };
        *logit -= same.len() as f32 * o.frequency_penalty + o.presence_penalty;
    }
}
