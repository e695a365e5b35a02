//! Logit bias.

/// Adds the biases to their tokens' logits.
pub(super) fn apply(bias: &[(u32, f32)], logits: &mut [f32]) {
    for &(id, bias) in bias {
        logits[id as usize] += bias;
    }
}
