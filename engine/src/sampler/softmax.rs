//! Temperature and probabilities.

use super::Candidate;

/// What a candidate weighs next to the best one: `exp((logit - best) / temperature)`.
pub(super) fn weight(logit: f32, best: f32, temperature: f32) -> f64 {
    // Infinite logits leave only their equals; temperature 0 comes with a single candidate.
    if logit == best { 1.0 } else { libm::exp((f64::from(logit) - f64::from(best)) / f64::from(temperature)) }
}

/// Softmax over the candidates, of which the best has the logit `best`.
pub(super) fn probabilities(candidates: &[Candidate], best: f32, temperature: f32, out: &mut Vec<f64>) {
    out.clear();
    out.extend(candidates.iter().map(|c| weight(c.logit, best, temperature)));
    let sum: f64 = out.iter().sum();
    out.iter_mut().for_each(|p| *p /= sum);
}
