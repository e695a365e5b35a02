//! Probabilities and the draw.

use super::{Candidate, SamplerError};
use rand_chacha::ChaCha8Rng;
use rand_core::Rng;

/// Softmax of the candidates' logits over `temperature`.
pub(super) fn probabilities(c: &[Candidate], temperature: f32, out: &mut Vec<f64>) -> Result<(), SamplerError> {
    let top = c.iter().fold(f32::NEG_INFINITY, |m, c| m.max(c.logit));
    if top == f32::NEG_INFINITY {
        return Err(SamplerError::Nothing);
    }
    out.clear();
    // An infinite logit leaves only its equals.
    let scaled = |l: f32| if l == top { 0.0 } else { (f64::from(l) - f64::from(top)) / f64::from(temperature) };
    out.extend(c.iter().map(|c| libm::exp(scaled(c.logit))));
    let sum: f64 = out.iter().sum();
    out.iter_mut().for_each(|p| *p /= sum);
    Ok(())
}

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
