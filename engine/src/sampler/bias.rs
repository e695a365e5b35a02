//! Logit bias.

use super::Candidate;

/// Adds the biases to candidates that are still all there, in order of their ids.
pub(super) fn apply(bias: &[(u32, f32)], candidates: &mut [Candidate]) {
    for &(id, bias) in bias {
        candidates[id as usize].logit += bias;
    }
}
