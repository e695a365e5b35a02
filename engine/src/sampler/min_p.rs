//! Min-p.

use super::Candidate;

/// Keeps the candidates with at least `p` times the probability of the best one, whose logit is `best`.
pub(super) fn apply(p: f32, best: f32, candidates: &mut Vec<Candidate>) {
    if p > 0.0 {
        // probability / best probability = exp(logit - best)
        let least = best + libm::logf(p);
        candidates.retain(|c| c.logit >= least);
    }
}
