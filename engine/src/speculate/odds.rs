//! How often guesses of a kind were right.

/// Guesses are weighed as if so many had been made before the first one.
const PRIOR: f32 = 6.0;
/// Older guesses count less: as many as this count in all.
const MEMORY: f32 = 64.0;

/// Shares of right guesses, kind by kind.
#[derive(Clone, Debug)]
pub(super) struct Odds<const KINDS: usize> {
    /// Guesses right, and guesses in all.
    seen: [[f32; 2]; KINDS],
    prior: [f32; KINDS],
}

impl<const KINDS: usize> Odds<KINDS> {
    /// Where nothing is known, the shares are these.
    pub fn new(prior: [f32; KINDS]) -> Self {
        Self { seen: [[0.0; 2]; KINDS], prior }
    }

    /// A guess of this kind was right, or was not.
    pub fn note(&mut self, kind: usize, right: bool) {
        let seen = &mut self.seen[kind];
        let keep = 1.0 - 1.0 / MEMORY;
        *seen = [seen[0] * keep + f32::from(u8::from(right)), seen[1] * keep + 1.0];
    }

    /// The share of right ones to expect.
    pub fn of(&self, kind: usize) -> f32 {
        let [right, all] = self.seen[kind];
        (right + PRIOR * self.prior[kind]) / (all + PRIOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_outweighs_the_prior_and_then_what_was_seen_before() {
        let mut odds = Odds::new([0.5, 0.75]);
        assert_eq!([odds.of(0), odds.of(1)], [0.5, 0.75]);
        (0..20).for_each(|_| odds.note(0, true));
        assert!(odds.of(0) > 0.85, "{}", odds.of(0));
        (0..200).for_each(|_| odds.note(0, false));
        assert!(odds.of(0) < 0.1, "{}", odds.of(0));
        assert_eq!(odds.of(1), 0.75);
        (0..1000).for_each(|_| odds.note(0, true));
        assert!(odds.of(0) < 1.0);
    }
}
