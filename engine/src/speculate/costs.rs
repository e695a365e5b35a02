//! What a step of several rows takes, learnt from those that were made.

/// How much longer a step is with each further row, in units of a step of one row, where none was measured: single rows
/// are bound by memory, and up to three of them read the weights once.
const PRIOR: f64 = 0.25;
/// Weight of that, in squared rows.
const PRIOR_WEIGHT: f64 = 4.0;
/// What a measurement counts for after one more.
const KEEP: f64 = 0.95;

/// Time of a step as a line over its rows.
#[derive(Clone, Debug, Default)]
pub(super) struct Costs {
    /// Seconds of a step of one row; 0 before the first.
    one: f64,
    /// `[sum of rows * extra, sum of rows^2]` of steps of several, `rows` without the first, `extra` in units of `one`.
    sums: [f64; 2],
}

impl Costs {
    /// A step of so many rows took so many seconds.
    pub fn note(&mut self, rows: usize, seconds: f64) {
        if rows == 1 {
            // Another process that takes the processors for a moment must not be remembered as the normal state.
            let seconds = if self.one == 0.0 { seconds } else { seconds.min(2.0 * self.one) };
            self.one = if self.one == 0.0 { seconds } else { self.one + (seconds - self.one) / 8.0 };
        } else if rows > 1 && self.one > 0.0 {
            let further = (rows - 1) as f64;
            let extra = (seconds / self.one - 1.0).clamp(0.0, 2.0 * further);
            self.sums = [KEEP * self.sums[0] + further * extra, KEEP * self.sums[1] + further * further];
        } else {
            // Nothing to compare with yet.
        }
    }

    /// Seconds of a step of one row, once there was one.
    pub fn one(&self) -> Option<f64> {
        (self.one > 0.0).then_some(self.one)
    }

    /// What each further row takes, in units of a step of one row.
    pub fn further(&self) -> f64 {
        (self.sums[0] + PRIOR * PRIOR_WEIGHT) / (self.sums[1] + PRIOR_WEIGHT)
    }
}

/// What checking guesses takes, in units of a step of one row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prices {
    /// Seconds of that step.
    pub one: f64,
    /// Of each guess.
    pub further: f64,
    /// Of a token that has to be computed again because one behind it was wrong.
    pub redo: f64,
}

impl Prices {
    /// Guesses are for free.
    pub const NOTHING: Self = Self { one: 1.0, further: 0.0, redo: 0.0 };
}

/// How many guesses make the most tokens in a given time, where the `i`-th of them, if all before it are right, is right
/// with probability `odds[i]`, and takes `guess` to make; and how many tokens that makes in the time of a step of one row.
pub(super) fn best(odds: impl Iterator<Item = f32>, guess: f64, prices: &Prices) -> (usize, f64) {
    let (mut reach, mut tokens, mut again) = (1.0, 1.0, 0.0);
    let mut best = (0, 1.0);
    for (n, p) in (1..).zip(odds.map(f64::from)) {
        // Those before a wrong one, and what the step began with.
        again += reach * (1.0 - p) * f64::from(n);
        reach *= p;
        tokens += reach;
        let rate = tokens / (1.0 + f64::from(n) * (prices.further + guess) + prices.redo * again);
        if rate > best.1 {
            best = (n as usize, rate);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn further_rows_are_what_they_were_measured_to_be() {
        let mut costs = Costs::default();
        costs.note(4, 1.0);
        assert_eq!((costs.one(), costs.further()), (None, PRIOR), "there is nothing to compare with");
        for _ in 0..50 {
            costs.note(1, 0.02);
            costs.note(5, 0.02 * (1.0 + 4.0 * 0.8));
        }
        assert!((costs.one().unwrap() - 0.02).abs() < 1e-6);
        assert!((costs.further() - 0.8).abs() < 0.02, "{}", costs.further());
        // One hiccup changes little.
        costs.note(1, 10.0);
        assert!(costs.one().unwrap() < 0.024);
    }

    #[test]
    fn as_many_guesses_as_pay() {
        let best = |odds: &[f32], further, guess, redo| {
            best(odds.iter().copied(), guess, &Prices { one: 1.0, further, redo }).0
        };
        assert_eq!(best(&[1.0; 7], 0.25, 0.0, 0.0), 7);
        assert_eq!(best(&[0.0; 7], 0.25, 0.0, 0.0), 0);
        assert_eq!(best(&[], 0.25, 0.0, 0.0), 0);
        // Rows that cost as much as steps gain nothing, however good the guesses.
        assert_eq!(best(&[0.99; 7], 1.0, 0.0, 0.0), 0);
        assert_eq!(best(&[0.2; 7], 0.25, 0.0, 0.0), 0);
        let some = best(&[0.7; 7], 0.25, 0.0, 0.0);
        assert!((2..7).contains(&some), "{some}");
        // Dear guesses and those that have to be done again pay later.
        assert!(best(&[0.7; 7], 0.25, 0.3, 0.0) < some);
        assert!(best(&[0.7; 7], 0.25, 0.0, 1.0) < some);
        // A bad guess may lie on the way to good ones.
        assert_eq!(best(&[0.4, 1.0, 1.0, 1.0, 1.0], 0.25, 0.0, 0.0), 5);
    }

    #[test]
    fn where_checks_are_for_free_every_guess_pays() {
        let (n, rate) = best([0.5, 0.5].into_iter(), 0.0, &Prices::NOTHING);
        assert_eq!((n, rate), (2, 1.75));
    }
}
