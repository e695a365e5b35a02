//! Top-k.

use super::Candidate;

/// Logits that are looked at together.
pub(super) const PART: usize = 32;

/// All tokens that are possible, by their ids: those whose logit is neither a NaN nor minus infinity.
pub(super) fn all(logits: &[f32], candidates: &mut Vec<Candidate>) {
    candidates.clear();
    let tokens = logits.iter().zip(0..).map(|(&logit, id)| Candidate { id, logit });
    candidates.extend(tokens.filter(|c| c.logit > f32::NEG_INFINITY));
}

/// The best `k` of them (1 or more), in order.
pub(super) fn best(k: usize, logits: &[f32], candidates: &mut Vec<Candidate>) {
    candidates.clear();
    let k = k.min(logits.len());
    // One pass: the best so far, with room for as many newcomers before the next selection. Of a large vocabulary nearly
    // every token is no better than the k-th best (of equals the first are), and those are passed over many at a time.
    let room = (2 * k).max(64);
    let mut bar = f32::NEG_INFINITY;
    for (part, first) in logits.chunks(PART).zip((0..).step_by(PART)) {
        // Without a way out of the loop, so that the compiler compares several at once.
        if !part.iter().fold(false, |any, logit| any | (*logit > bar)) {
            continue;
        }
        for (&logit, id) in part.iter().zip(first..) {
            if logit > bar {
                candidates.push(Candidate { id, logit });
                if candidates.len() == room {
                    candidates.select_nth_unstable_by(k - 1, Candidate::order);
                    candidates.truncate(k);
                    bar = candidates[k - 1].logit;
                }
            }
        }
    }
    candidates.sort_unstable_by(Candidate::order);
    candidates.truncate(k);
}
