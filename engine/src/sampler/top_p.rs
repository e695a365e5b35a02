//! Top-p (nucleus).

use super::Candidate;
use super::softmax::{weight, weights};
use super::top_k::PART;

/// Of candidates in order, keeps the fewest first whose probabilities (at temperature 1) add up to `p`; at least one.
/// 1 keeps all. `best` is the largest logit.
pub(super) fn cut(p: f32, best: f32, candidates: &mut Vec<Candidate>) {
    if p < 1.0 {
        let weight = |c: &Candidate| weight(c.logit, best);
        let enough = f64::from(p) * candidates.iter().map(weight).sum::<f64>();
        let mut sum = 0.0;
        let last = candidates.iter().position(|c| {
            sum += weight(c);
            sum >= enough
        });
        candidates.truncate(last.map_or(candidates.len(), |i| i + 1));
    }
}

/// The same of all tokens that are possible, in order. `buffer` is overwritten.
pub(super) fn select(p: f32, best: f32, logits: &[f32], candidates: &mut Vec<Candidate>, buffer: &mut Vec<f64>) {
    candidates.clear();
    weights(logits.iter().copied(), best, 1.0, buffer);
    let enough = f64::from(p) * buffer.iter().sum::<f64>();
    // Mostly a few are enough even of a large vocabulary: looked for not far below the best first, and put in order a part
    // at a time.
    let (mut sum, mut done, mut most) = (0.0, 0, f32::INFINITY);
    for reach in [2.0, 4.0, 8.0, 16.0, 32.0, f32::INFINITY] {
        let least = if reach < f32::INFINITY { best - reach } else { f32::MIN };
        between(least, most, logits, candidates);
        most = least.next_down();
        while done < candidates.len() {
            let rest = &mut candidates[done..];
            let part = rest.len().min((3 * done).max(64));
            if part < rest.len() {
                rest.select_nth_unstable_by(part - 1, Candidate::order);
            }
            rest[..part].sort_unstable_by(Candidate::order);
            for i in done..done + part {
                sum += weight(candidates[i].logit, best);
                if sum >= enough {
                    return candidates.truncate(i + 1);
                }
            }
            done += part;
        }
    }
}

/// Adds the tokens with a logit of `least` to `most`.
fn between(least: f32, most: f32, logits: &[f32], candidates: &mut Vec<Candidate>) {
    let here = |logit: f32| (logit >= least) & (logit <= most);
    for (part, first) in logits.chunks(PART).zip((0..).step_by(PART)) {
        // Most parts have none; without a way out of the loop, so that the compiler compares several at once.
        if part.iter().fold(false, |any, logit| any | here(*logit)) {
            let tokens = part.iter().zip(first..).map(|(&logit, id)| Candidate { id, logit });
            candidates.extend(tokens.filter(|c| here(c.logit)));
        }
    }
}
