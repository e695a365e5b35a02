//! Guessing ahead: several tokens in a step, and the same text.
//!
//! A step of a few rows takes little longer than one of a single row, because weights are read once for all of them. So
//! [`generate`](crate::generate()) can have tokens checked that are only guessed: each is chosen from the same logits, with
//! the same draw of the generator, as without guesses, and counts as long as it is what was guessed. The rest is forgotten.
//! As logits do not depend on what else is in a step, *guesses change no token*, at any temperature, only the time.
//! (Y. Leviathan, M. Kalman, Y. Matias, "Fast Inference from Transformers via Speculative Decoding", 2023, accept by
//! probabilities instead, which keeps the distribution but not the text.)
//!
//! Guesses come from what the text repeats, and from a smaller model with the same tokens, if there is one. How
//! many are made follows from how often they were right lately and from what steps of several rows were measured to take:
//! where they do not pay, none are.

mod costs;
mod draft;
mod lookup;
mod odds;

pub use draft::Draft;

use crate::cancel::CancelToken;
use crate::error::EngineError;
use crate::sequence::GUESSES;
use costs::{Costs, Prices, best};
use lookup::Lookup;
use std::time::Duration;

/// Makes guesses for one runner, and learns from what becomes of them.
pub struct Speculator {
    most: usize,
    eager: bool,
    lookup: Lookup,
    /// Has a runner of its own, as runners have what guesses for them.
    draft: Option<Box<Draft>>,
    /// Why it is no more.
    lost: Option<EngineError>,
    costs: Costs,
    guesses: Vec<u32>,
    /// Steps without guesses after one that failed.
    rest: usize,
    /// Who made them.
    source: Source,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Lookup,
    Draft,
}

/// The text so far, and what of it may be guessed.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// All tokens.
    pub text: &'a [u32],
    /// The model chose those from here on.
    pub own: usize,
    /// The most guesses that there is room for.
    pub room: usize,
    /// Whether tokens before a wrong guess have to be computed again.
    pub redo: bool,
    /// Stops a smaller model that reads.
    pub cancel: &'a CancelToken,
}

/// Steps without guesses after a step with some failed.
const REST: usize = 64;

/// The most guesses that programs make unless they are told otherwise: more are seldom right.
pub const USUAL: usize = 7;

impl Speculator {
    /// Guesses of at most so many tokens, 1 to 64, from what the text repeats.
    ///
    /// # Errors
    /// Another number.
    pub fn new(most: usize) -> Result<Self, EngineError> {
        if !(1..=GUESSES).contains(&most) {
            let reason = format!("{most} guesses are not within 1..={GUESSES}");
            return Err(EngineError::Option { name: "speculate", reason });
        }
        let (lookup, costs) = (Lookup::new(), Costs::default());
        Ok(Self {
            most,
            eager: false,
            lookup,
            draft: None,
            lost: None,
            costs,
            guesses: Vec::new(),
            rest: 0,
            source: Source::Lookup,
        })
    }

    /// Asks a smaller model as well.
    pub fn with_draft(mut self, draft: Draft) -> Self {
        self.draft = Some(Box::new(draft));
        self
    }

    /// Makes as many guesses as there can be, whether they pay or not: to measure what they cost, and to test.
    pub fn eager(mut self) -> Self {
        self.eager = true;
        self
    }

    /// Why the smaller model guesses no more, once: it failed. The answer went on without it.
    pub fn take_lost(&mut self) -> Option<EngineError> {
        self.lost.take()
    }

    /// What may come next, as far as it pays to check it.
    pub(crate) fn guess(&mut self, asked: &Asked<'_>) -> &[u32] {
        self.guesses.clear();
        self.lookup.follow(asked.text, asked.own);
        if self.rest > 0 {
            self.rest -= 1;
            return &self.guesses;
        }
        let most = self.most.min(asked.room);
        // What guesses save is known only once a single row was measured.
        if !self.eager && self.costs.one().is_none() {
            return &self.guesses;
        }
        let prices = Prices { check: (!self.eager).then_some(&self.costs), guess: 0.0, redo: asked.redo };
        let odds = self.lookup.guesses().map(|(_, p)| p).take(most);
        let (n, rate) = best(odds, &prices);
        self.source = Source::Lookup;
        self.guesses.extend(self.lookup.guesses().map(|(token, _)| token).take(n));
        if let Some(draft) = &mut self.draft
            && (if self.eager { n == 0 } else { draft.promises(asked.text, most, &prices) > rate })
        {
            self.source = Source::Draft;
            // What only guesses must not end an answer. Where it was stopped, so will be what it guesses for.
            if let Err(e) = draft.guess(asked.text, most, &prices, asked.cancel, &mut self.guesses) {
                self.guesses.clear();
                if !matches!(e, EngineError::Cancelled) {
                    (self.draft, self.lost) = (None, Some(e));
                }
            }
        }
        &self.guesses
    }

    /// Of the last guesses so many were right, and then one was wrong unless there was no more or the answer was at its end.
    pub(crate) fn judge(&mut self, right: usize, wrong: bool) {
        if self.source == Source::Draft
            && let Some(draft) = &mut self.draft
        {
            draft.judge(right, wrong);
        }
    }

    /// The step with the last guesses failed; without them it may not.
    pub(crate) fn failed(&mut self) {
        self.rest = REST;
    }

    /// A step of so many rows took so long.
    pub(crate) fn took(&mut self, rows: usize, time: Duration) {
        self.costs.note(rows, time.as_secs_f64());
    }
}
