//! Top-p (nucleus).

use super::Candidate;
use super::softmax::weight;

/// Keeps the fewest of the best candidates whose probabilities (at temperature 1) add up to `p`, in order; at least
/// one. 1 keeps all, in the order they have. `best` is the largest logit.
pub(super) fn apply(p: f32, best: f32, candidates: &mut Vec<Candidate>) {
    if p >= 1.0 {
        return;
    }
    let enough = f64::from(p) * candidates.iter().map(|c| weight(c.logit, best, 1.0)).sum::<f64>();
    // Mostly a few are enough even of a large vocabulary: put in order a part at a time.
    let (mut sum, mut done) = (0.0, 0);
    while done < candidates.len() {
        let rest = &mut candidates[done..];
        let part = rest.len().min((3 * done).max(64));
        if part < rest.len() {
            rest.select_nth_unstable_by(part - 1, Candidate::order);
        }
        rest[..part].sort_unstable_by(Candidate::order);
        for i in done..done + part {
            sum += weight(candidates[i].logit, best, 1.0);
            if sum >= enough {
                candidates.truncate(i + 1);
                return;
            }
        }
        done += part;
    }
}
