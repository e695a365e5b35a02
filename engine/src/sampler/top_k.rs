//! Top-k.

use super::Candidate;

/// Keeps the best `k`, in order; 0 keeps all, in the order they have.
pub(super) fn apply(k: usize, candidates: &mut Vec<Candidate>) {
    if k == 0 {
        return;
    }
    let k = k.min(candidates.len());
    // One pass: the best so far lie in front, with room for as many newcomers before the next selection. Of a large
    // vocabulary nearly every token fails the comparison with the k-th best and costs nothing else.
    let room = (2 * k).max(64);
    let (mut kept, mut worst) = (0, None);
    for i in 0..candidates.len() {
        let c = candidates[i];
        if worst.is_some_and(|w: Candidate| w.order(&c).is_lt()) {
            continue;
        }
        candidates[kept] = c;
        kept += 1;
        if kept == room {
            candidates[..kept].select_nth_unstable_by(k - 1, Candidate::order);
            worst = Some(candidates[k - 1]);
            kept = k;
        }
    }
    candidates.truncate(kept);
    candidates.sort_unstable_by(Candidate::order);
    candidates.truncate(k);
}
