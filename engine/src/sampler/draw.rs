//! The draw.

use rand_chacha::ChaCha8Rng;
use rand_core::Rng;

/// An index with the given probabilities; 53 random bits decide.
pub(super) fn index(probabilities: &[f64], rng: &mut ChaCha8Rng) -> usize {
    let mut left = (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
    for (i, p) in probabilities.iter().enumerate() {
        if left < *p {
            return i;
        }
        left -= p;
    }
    // Rounding may leave a hair: the last that is possible at all.
    probabilities.iter().rposition(|p| *p > 0.0).unwrap_or(0)
}
