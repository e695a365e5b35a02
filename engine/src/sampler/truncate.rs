//! Steps that leave fewer candidates: top-k, top-p, min-p.

use super::Candidate;
use std::cmp::Ordering;

/// Larger logits first, of equals the lower id.
fn order(a: &Candidate, b: &Candidate) -> Ordering {
    b.logit.total_cmp(&a.logit).then(a.id.cmp(&b.id))
}

/// The best candidate that can be chosen at all.
pub(super) fn best(candidates: &[Candidate]) -> Option<Candidate> {
    candidates.iter().copied().filter(|c| c.logit > f32::NEG_INFINITY).min_by(order)
}

/// Keeps the best `k` (all for 0) and puts them in order.
pub(super) fn top_k(candidates: &mut Vec<Candidate>, k: usize) {
    candidates.retain(|c| c.logit > f32::NEG_INFINITY);
    if k > 0 && k < candidates.len() {
        candidates.select_nth_unstable_by(k - 1, order);
        candidates.truncate(k);
    }
    candidates.sort_unstable_by(order);
}

/// Keeps the fewest of the ordered candidates whose probabilities add up to `p`; at least one.
pub(super) fn top_p(candidates: &mut Vec<Candidate>, probabilities: &[f64], p: f32) {
    if p >= 1.0 {
        return;
    }
    let mut sum = 0.0;
    let enough = probabilities.iter().position(|q| {
        sum += q;
        sum >= f64::from(p)
    });
    candidates.truncate(enough.map_or(candidates.len(), |i| i + 1));
}

/// Keeps the ordered candidates with at least `p` times the best one's probability.
pub(super) fn min_p(candidates: &mut Vec<Candidate>, p: f32) {
    if p <= 0.0 {
        return;
    }
    // probability / best = exp(logit - best logit)
    let Some(least) = candidates.first().map(|c| c.logit + libm::logf(p)) else { return };
    let keep = candidates.iter().take_while(|c| c.logit >= least).count();
    candidates.truncate(keep.max(1));
}
