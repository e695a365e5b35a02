//! Which experts take a row, and how much each counts: plain f32, one row at a time.

use crate::arch::Gating;
use crate::config::Experts;
use crate::scratch::Choice;

/// The least sum that weights are divided by; that of half precision, as other engines have it.
const LEAST_SUM: f32 = 6.103_515_6e-5;

/// Chooses experts for a row: `scores` (`[experts]`, finite; used as scratch) are the router's, `bias` is added to the
/// probabilities for the choice alone. The best come first, of equals the one with the lower index.
pub(super) fn route(e: &Experts, scores: &mut [f32], bias: Option<&[f32]>, chosen: &mut [Choice]) {
    if e.gating == Gating::SparseMixer {
        mix(scores, bias, chosen);
        return weigh(e, chosen);
    }
    make_probabilities(e, scores);
    let worth = |i: usize| scores[i] + bias.map_or(0.0, |b| b[i]);
    let open = (e.groups_used < e.groups).then(|| best_groups(e, &worth, bias.is_some()));
    let mut taken = vec![false; scores.len()];
    for c in chosen.iter_mut() {
        let mut best: Option<(usize, f32)> = None;
        for (i, taken) in taken.iter().enumerate() {
            let closed = open.as_ref().is_some_and(|open| !open[i / (e.count / e.groups)]);
            let worth = worth(i);
            if !taken && !closed && best.is_none_or(|(_, b)| worth > b) {
                best = Some((i, worth));
            }
        }
        // There are at least as many open ones as are chosen, and none is a NaN.
        let (i, _) = best.unwrap_or_default();
        taken[i] = true;
        *c = Choice { expert: i as u32, weight: scores[i] };
    }
    if e.gating == Gating::SoftmaxOfChosen {
        let mut weights: Vec<f32> = chosen.iter().map(|c| c.weight).collect();
        softmax(&mut weights);
        chosen.iter_mut().zip(weights).for_each(|(c, w)| c.weight = w);
    }
    if e.gating == Gating::SigmoidOfChosen {
        chosen.iter_mut().for_each(|c| c.weight = sigmoid(c.weight));
    }
    weigh(e, chosen);
}

/// Makes of scores what experts are chosen by.
fn make_probabilities(e: &Experts, scores: &mut [f32]) {
    match e.gating {
        Gating::Softmax => softmax(scores),
        Gating::Sigmoid => scores.iter_mut().for_each(|s| *s = sigmoid(*s)),
        Gating::SqrtSoftplus => scores.iter_mut().for_each(|s| *s = softplus(*s).sqrt()),
        Gating::SoftmaxOfChosen | Gating::SigmoidOfChosen | Gating::SparseMixer => {}
    }
}

/// The same for a row whose experts are given, in their order, where probabilities are weights.
pub(super) fn route_to(e: &Experts, scores: &mut [f32], experts: &[u32], chosen: &mut [Choice]) {
    make_probabilities(e, scores);
    let each = chosen.iter_mut().zip(experts);
    each.for_each(|(c, expert)| *c = Choice { expert: *expert, weight: scores[*expert as usize] });
    weigh(e, chosen);
}

/// Makes the weights sum to 1, where they are to, and multiplies them with the model's factor.
fn weigh(e: &Experts, chosen: &mut [Choice]) {
    let sum: f32 = if e.normalize { chosen.iter().map(|c| c.weight).sum::<f32>().max(LEAST_SUM) } else { 1.0 };
    chosen.iter_mut().for_each(|c| c.weight = c.weight / sum * e.scale);
}

/// How far a score may be from the best, as a share of the larger of both, to count beside it: twice the jitter of the
/// training, of which files do not tell.
const NEAR: f32 = 0.02;

/// The sparse mixer (arXiv 2409.12136) as it is after the training: see [`Gating::SparseMixer`].
fn mix(scores: &[f32], bias: Option<&[f32]>, chosen: &mut [Choice]) {
    let mut left: Vec<(usize, f32)> = scores.iter().copied().enumerate().collect();
    let worth = |(i, score): (usize, f32)| score + bias.map_or(0.0, |b| b[i]);
    for c in chosen {
        let best = |a, b| if worth(b) > worth(a) { b } else { a };
        // There are at least as many as are chosen.
        let (expert, top) = left.iter().copied().reduce(best).unwrap_or_default();
        let near = left.iter().filter(|(_, s)| top - s <= NEAR * s.abs().max(top));
        let sum: f32 = near.map(|(_, s)| libm::expf(s - top)).sum();
        *c = Choice { expert: expert as u32, weight: 1.0 / sum };
        left.retain(|(i, _)| *i != expert);
    }
}

/// The groups that are looked at. Where there is a bias (DeepSeek-V3), a group is worth as much as its two best experts,
/// otherwise (DeepSeek-V2) as much as its best.
fn best_groups(e: &Experts, worth: &dyn Fn(usize) -> f32, biased: bool) -> Vec<bool> {
    let size = e.count / e.groups;
    let values: Vec<f32> = (0..e.groups)
        .map(|g| {
            let (mut first, mut second) = (f32::NEG_INFINITY, f32::NEG_INFINITY);
            for v in (g * size..(g + 1) * size).map(worth) {
                (first, second) = if v > first { (v, first) } else { (first, second.max(v)) };
            }
            if biased && size > 1 { first + second } else { first }
        })
        .collect();
    let mut open = vec![false; e.groups];
    for _ in 0..e.groups_used {
        let best = (0..e.groups).filter(|g| !open[*g]).reduce(|a, b| if values[b] > values[a] { b } else { a });
        open[best.unwrap_or(0)] = true;
    }
    open
}

/// Numbers that are all positive and have the sum 1, `e^x` in proportion.
pub(super) fn softmax(x: &mut [f32]) {
    let top = x.iter().fold(f32::NEG_INFINITY, |m, v| m.max(*v));
    x.iter_mut().for_each(|v| *v = libm::expf(*v - top));
    let sum: f32 = x.iter().sum();
    x.iter_mut().for_each(|v| *v /= sum);
}

/// `ln(1 + e^x)`, which is `x` where that is large.
fn softplus(x: f32) -> f32 {
    if x > 20.0 { x } else { libm::log1pf(libm::expf(x)) }
}

/// The logistic function.
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + libm::expf(-x))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn experts(gating: Gating, normalize: bool, used: usize, groups: [usize; 2]) -> Experts {
        let [groups, groups_used] = groups;
        Experts {
            count: 8,
            used,
            ff: 1,
            shared_ff: 0,
            first: 0,
            every: 1,
            routed: crate::config::LayerSet::All,
            gating,
            normalize,
            scale: 2.0,
            groups,
            groups_used,
            score_cap: None,
            hashed: 0,
            adjugates: None,
            narrow: None,
        }
    }

    fn run(e: &Experts, scores: [f32; 8], bias: Option<[f32; 8]>) -> Vec<(u32, f32)> {
        let mut chosen = vec![Choice::default(); e.used];
        route(e, &mut scores.clone(), bias.as_ref().map(|b| &b[..]), &mut chosen);
        chosen.iter().map(|c| (c.expert, c.weight)).collect()
    }

    #[test]
    fn equals_are_broken_by_the_lower_index() {
        let e = experts(Gating::Softmax, true, 3, [1, 1]);
        let got = run(&e, [0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0], None);
        assert_eq!(got.iter().map(|c| c.0).collect::<Vec<_>>(), [1, 2, 4]);
        assert!(got.iter().all(|c| (c.1 - 2.0 / 3.0).abs() < 1e-6));
    }

    #[test]
    fn weights_are_those_of_the_kind_of_gating() {
        let scores = [0.0, 3.0, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0];
        let (a, b) = (3f32.exp(), 2f32.exp());
        let all = a + b + 6.0;
        let close = |got: Vec<(u32, f32)>, want: [f32; 2]| {
            assert_eq!([got[0].0, got[1].0], [1, 3]);
            assert!((got[0].1 - want[0]).abs() < 1e-5 && (got[1].1 - want[1]).abs() < 1e-5, "{got:?} {want:?}");
        };
        close(run(&experts(Gating::Softmax, false, 2, [1, 1]), scores, None), [2.0 * a / all, 2.0 * b / all]);
        close(run(&experts(Gating::Softmax, true, 2, [1, 1]), scores, None), [2.0 * a / (a + b), 2.0 * b / (a + b)]);
        close(
            run(&experts(Gating::SoftmaxOfChosen, false, 2, [1, 1]), scores, None),
            [2.0 * a / (a + b), 2.0 * b / (a + b)],
        );
        let (a, b) = (a / (1.0 + a), b / (1.0 + b));
        close(run(&experts(Gating::Sigmoid, false, 2, [1, 1]), scores, None), [2.0 * a, 2.0 * b]);
    }

    #[test]
    fn a_sparse_mixer_shares_between_near_scores_only() {
        let e = experts(Gating::SparseMixer, false, 2, [1, 1]);
        // The second is within a fiftieth of the best, the third of the second.
        let got = run(&e, [0.0, 4.0, 3.94, 3.88, 0.0, 0.0, 0.0, 0.0], None);
        let share = |d: f32| 2.0 / (1.0 + (-d).exp());
        assert_eq!([got[0].0, got[1].0], [1, 2]);
        assert!((got[0].1 - share(0.06)).abs() < 1e-5 && (got[1].1 - share(0.06)).abs() < 1e-5, "{got:?}");
        // No others: whatever the scores are, each counts as a whole.
        let got = run(&e, [-9.0, -3.0, -4.0, -5.0, -9.0, -9.0, -9.0, -9.0], None);
        assert_eq!(got, [(1, 2.0), (2, 2.0)]);
        // Of nothing but zeros all are near.
        assert_eq!(run(&e, [0.0; 8], None), [(0, 2.0 / 8.0), (1, 2.0 / 7.0)]);
    }

    #[test]
    fn the_bias_counts_for_the_choice_only() {
        let mut bias = [0.0; 8];
        bias[7] = 5.0;
        let got =
            run(&experts(Gating::Sigmoid, false, 1, [1, 1]), [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], Some(bias));
        assert_eq!(got, [(7, 1.0)]);
    }

    #[test]
    fn only_the_best_groups_are_looked_at() {
        // Groups of two. The best expert is in group 0, the best pair in group 2.
        let scores = [3.0, -9.0, 0.0, 0.0, 2.0, 2.0, 1.0, 1.0];
        let chosen = |groups_used, bias| {
            let e = experts(Gating::Sigmoid, false, 2, [4, groups_used]);
            run(&e, scores, bias).iter().map(|c| c.0).collect::<Vec<_>>()
        };
        assert_eq!(chosen(1, None), [0, 1]);
        assert_eq!(chosen(1, Some([0.0; 8])), [4, 5]);
        assert_eq!(chosen(2, None), [0, 4]);
        assert_eq!(chosen(4, None), [0, 4]);
    }
}
