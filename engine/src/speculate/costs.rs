//! What a step of several rows takes, learnt from those that were made.

/// How much longer than a step of one row one of two is, where none was measured.
const PRIOR: f64 = 0.5;
/// Further rows add less and less, because rows that share decoded weights only multiply: (rows - 1)^0.6 fits what was
/// measured with 1 to 16 rows of several formats.
const POWER: f64 = 0.6;
/// Weight of the prior, in steps.
const PRIOR_WEIGHT: f64 = 1.0;
/// What a measurement counts for after one more.
const KEEP: f64 = 0.95;
/// Steps of more rows are not told apart from the curve.
const ROWS: usize = 18;

/// Times of steps by their rows: a curve, and how far each number of rows is from it, as kernels change from one to the next.
#[derive(Clone, Debug, Default)]
pub(super) struct Costs {
    /// Seconds of a step of one row; 0 before the first.
    one: f64,
    /// `[sum of curve * extra, sum of curve^2]`, `extra` being what a step takes beyond one of one row, in units of that.
    sums: [f64; 2],
    /// By rows: how many steps, and the mean of `extra` there.
    rows: [(f64, f64); ROWS],
}

fn curve(rows: usize) -> f64 {
    (rows.saturating_sub(1) as f64).powf(POWER)
}

impl Costs {
    /// A step of so many rows took so many seconds.
    pub fn note(&mut self, rows: usize, seconds: f64) {
        if rows == 1 {
            // Another process that takes the processors for a moment must not be remembered as the normal state.
            let seconds = if self.one == 0.0 { seconds } else { seconds.min(2.0 * self.one) };
            self.one = if self.one == 0.0 { seconds } else { self.one + (seconds - self.one) / 8.0 };
        } else if rows > 1 && self.one > 0.0 {
            let (at, most) = (curve(rows), 2.0 * (rows - 1) as f64);
            let extra = (seconds / self.one - 1.0).clamp(0.0, most);
            self.sums = [KEEP * self.sums[0] + at * extra, KEEP * self.sums[1] + at * at];
            if let Some((steps, mean)) = self.rows.get_mut(rows) {
                *steps = (*steps + 1.0).min(16.0);
                *mean += (extra - *mean) / *steps;
            }
        } else {
            // Nothing to compare with yet.
        }
    }

    /// Seconds of a step of one row, once there was one.
    pub fn one(&self) -> Option<f64> {
        (self.one > 0.0).then_some(self.one)
    }

    /// What a step of so many rows takes beyond one of one row, in units of that.
    pub fn extra(&self, rows: usize) -> f64 {
        let scale = (self.sums[0] + PRIOR * PRIOR_WEIGHT) / (self.sums[1] + PRIOR_WEIGHT);
        let expected = scale * curve(rows);
        let (steps, mean) = self.rows.get(rows).copied().unwrap_or_default();
        expected + (mean - expected) * steps / (steps + 2.0)
    }
}

/// What guesses cost, in units of a step of one row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prices<'a> {
    /// To check them; for free if not given.
    pub check: Option<&'a Costs>,
    /// To make one.
    pub guess: f64,
    /// Whether tokens are computed again because one behind them was wrong.
    pub redo: bool,
}

impl Prices<'_> {
    fn extra(&self, rows: usize) -> f64 {
        self.check.map_or(0.0, |c| c.extra(rows))
    }

    /// Of a step with so many guesses, made and checked.
    fn step(&self, guesses: usize) -> f64 {
        1.0 + self.extra(guesses + 1) + self.guess * guesses as f64
    }
}

/// How many guesses make the most tokens in a given time, where the `i`-th of them, if all before it are right, is right
/// with probability `odds[i]`; and how many tokens that makes in the time of a step of one row.
pub(super) fn best(odds: impl Iterator<Item = f32>, prices: &Prices<'_>) -> (usize, f64) {
    let (mut reach, mut tokens, mut again) = (1.0, 1.0, 0.0);
    let mut best = (0, 1.0);
    for (i, p) in odds.map(f64::from).enumerate() {
        // What the step began with and the right guesses before a wrong one are rows of the next step.
        if prices.redo {
            again += reach * (1.0 - p) * prices.extra(i + 2);
        }
        reach *= p;
        tokens += reach;
        let rate = tokens / (prices.step(i + 1) + again);
        if rate > best.1 {
            best = (i + 1, rate);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps of one row and of others, which take what `extra` says beyond it.
    fn learnt(rows: &[usize], extra: impl Fn(usize) -> f64) -> Costs {
        let mut costs = Costs::default();
        for _ in 0..50 {
            costs.note(1, 0.02);
            rows.iter().for_each(|n| costs.note(*n, 0.02 * (1.0 + extra(*n))));
        }
        costs
    }

    #[test]
    fn steps_take_what_they_were_measured_to_take() {
        let mut costs = Costs::default();
        costs.note(4, 1.0);
        assert_eq!(
            (costs.one(), costs.extra(1), costs.extra(2)),
            (None, 0.0, PRIOR),
            "there is nothing to compare with"
        );
        let measured = |rows: usize| [0.0, 0.0, 0.35, 0.5, 1.0, 1.15][rows.min(5)];
        let mut costs = learnt(&[2, 3, 4, 5], measured);
        assert!((costs.one().unwrap() - 0.02).abs() < 1e-6);
        for rows in 1..=5 {
            assert!((costs.extra(rows) - measured(rows)).abs() < 0.06, "{rows}: {}", costs.extra(rows));
        }
        // What was not measured lies on the curve.
        assert!((1.2..2.0).contains(&costs.extra(9)) && costs.extra(60) > costs.extra(18), "{}", costs.extra(9));
        // One hiccup changes little.
        costs.note(1, 10.0);
        assert!(costs.one().unwrap() < 0.024);
    }

    #[test]
    fn as_many_guesses_as_pay() {
        let costs = learnt(&[2, 4, 8], |rows| 0.25 * (rows - 1) as f64);
        let dear = learnt(&[2, 4, 8], |rows| (rows - 1) as f64);
        let free = Prices { check: Some(&costs), guess: 0.0, redo: false };
        let best = |odds: &[f32], prices: &Prices<'_>| best(odds.iter().copied(), prices).0;
        assert_eq!(best(&[1.0; 7], &free), 7);
        assert_eq!(best(&[0.0; 7], &free), 0);
        assert_eq!(best(&[], &free), 0);
        // Rows that cost as much as steps gain nothing, however good the guesses.
        assert_eq!(best(&[0.9; 7], &Prices { check: Some(&dear), ..free }), 0);
        assert_eq!(best(&[0.2; 7], &free), 0);
        let some = best(&[0.7; 7], &free);
        assert!((1..7).contains(&some), "{some}");
        // Dear guesses and those that have to be done again pay later.
        assert!(best(&[0.7; 7], &Prices { guess: 0.4, ..free }) < some);
        // A bad guess may lie on the way to good ones.
        assert_eq!(best(&[0.4, 1.0, 1.0, 1.0, 1.0], &free), 5);
    }

    #[test]
    fn what_has_to_be_computed_again_counts() {
        let costs = Costs::default();
        let rate = |redo| best([0.8; 5].into_iter(), &Prices { check: Some(&costs), guess: 0.0, redo }).1;
        assert!(rate(true) < rate(false), "{} {}", rate(true), rate(false));
    }

    #[test]
    fn where_checks_are_for_free_every_guess_pays() {
        let prices = Prices { check: None, guess: 0.0, redo: true };
        assert_eq!(best([0.5, 0.5].into_iter(), &prices), (2, 1.75));
    }
}
