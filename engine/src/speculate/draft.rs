//! Guesses of a smaller model.

use super::costs::{Costs, Prices, best};
use super::odds::Odds;
use crate::cancel::CancelToken;
use crate::error::EngineError;
use crate::runner::{Logits, Runner, Work};
use crate::sampler::{Sampler, SamplerOptions};
use crate::sequence::{Sequence, SequenceOptions};
use crate::tokenizer::Tokenizer;
use std::ops::ControlFlow;
use std::time::Instant;

/// Kinds of guesses by what the smaller model gives the best token, of it and the second best together: less than 0.6, 0.7,
/// 0.8, 0.9, 0.97, more.
const KINDS: usize = 6;
const PRIOR: [f32; KINDS] = [0.4, 0.5, 0.6, 0.7, 0.8, 0.9];
/// Steps without guesses after which one is made to see whether they pay by now, at first and at most.
const WAIT: [usize; 2] = [64, 4096];

/// A smaller model that runs beside the one that it guesses for.
pub struct Draft {
    runner: Runner,
    seq: Sequence,
    /// Tokens of the model that it guesses for.
    vocab: usize,
    chooser: Sampler,
    odds: Odds<KINDS>,
    /// All kinds together.
    all: Odds<1>,
    /// Of the last guesses.
    kinds: Vec<usize>,
    costs: Costs,
    idle: usize,
    wait: usize,
}

impl Draft {
    /// `runner`, whose model has the tokens of `own`, guesses for a model of `vocab` tokens which has those of `target`.
    ///
    /// # Errors
    /// The tokens are not the same, but for one in a hundred (marks of turns and of reasoning may differ); or there is not
    /// enough memory.
    pub fn new(
        runner: Runner,
        options: &SequenceOptions,
        own: &Tokenizer,
        target: &Tokenizer,
        vocab: usize,
    ) -> Result<Self, EngineError> {
        let ids = 0..own.vocab_size().min(target.vocab_size()) as u32;
        let differ = |id: &u32| own.token_bytes(*id, true) != target.token_bytes(*id, true);
        let (shared, larger) = (ids.len(), own.vocab_size().max(target.vocab_size()));
        let others = ids.filter(differ).count();
        if others * 100 > shared || shared * 100 < larger * 99 {
            let sizes = format!("{} and {} tokens", own.vocab_size(), target.vocab_size());
            let reason = format!("its vocabulary is another one ({sizes}, {others} of the first {shared} differ)");
            return Err(EngineError::Option { name: "draft", reason });
        }
        let best_two =
            SamplerOptions { temperature: 1.0, top_k: 2, top_p: 1.0, min_p: 0.0, ..SamplerOptions::default() };
        let chooser = Sampler::new(best_two, runner.model().config().vocab, 0)?;
        let ctx = options.ctx.map(|ctx| ctx.min(runner.model().config().ctx));
        let seq = Sequence::new(runner.model(), &SequenceOptions { ctx, ..options.clone() })?;
        let (odds, all) = (Odds::new(PRIOR), Odds::new([0.7]));
        let (kinds, costs) = (Vec::new(), Costs::default());
        Ok(Self { runner, seq, vocab, chooser, odds, all, kinds, costs, idle: 0, wait: WAIT[0] })
    }

    /// The most guesses that can be made behind `text`, up to `most`: it may have been trained for shorter ones, and there may
    /// be tokens that it does not have. What it guesses last it does not read.
    fn room(&self, text: &[u32], most: usize) -> usize {
        let own = self.runner.model().config().vocab;
        // Without a way out of the loop, so that the compiler compares several at once.
        let known = text.iter().fold(true, |all, token| all & ((*token as usize) < own));
        if known { most.min((self.seq.ctx() + 1).saturating_sub(text.len())) } else { 0 }
    }

    /// How many tokens the best number of guesses behind `text` is expected to make in the time of a step of one row.
    /// Without bound once in a while, to see whether it still holds that guesses do not pay.
    pub(super) fn promises(&mut self, text: &[u32], most: usize, prices: &Prices<'_>) -> f64 {
        let most = self.room(text, most);
        let (n, rate) = best(std::iter::repeat_n(self.all.of(0), most), &self.price(prices));
        self.idle += 1;
        if n == 0 && most > 0 && self.idle > self.wait { f64::INFINITY } else { rate }
    }

    /// With what its own guesses take to make.
    fn price<'p>(&self, prices: &Prices<'p>) -> Prices<'p> {
        let guess = prices.check.and_then(Costs::one).map_or(0.0, |one| {
            // A model that nothing is known of is taken for one of a quarter of the size.
            self.costs.one().map_or(0.25, |own| own / one)
        });
        Prices { guess, ..*prices }
    }

    /// Puts guesses of what follows `text` into `guesses`, up to `most` of them, as long as further ones are expected to pay.
    ///
    /// # Errors
    /// A step failed, or was cancelled.
    pub(super) fn guess(
        &mut self,
        text: &[u32],
        most: usize,
        prices: &Prices<'_>,
        cancel: &CancelToken,
        guesses: &mut Vec<u32>,
    ) -> Result<(), EngineError> {
        guesses.clear();
        self.kinds.clear();
        let most = self.room(text, most);
        if most == 0 {
            return Ok(());
        }
        let (prices, average) = (self.price(prices), self.all.of(0));
        self.idle = 0;
        let mut logits = self.read(text, cancel)?;
        let mut odds: Vec<f32> = Vec::new();
        loop {
            let two = self.chooser.distribution(&logits, &[])?;
            let Some(&(token, share)) = two.first().filter(|(token, _)| (*token as usize) < self.vocab) else { break };
            let kind = kind(share);
            guesses.push(token);
            self.kinds.push(kind);
            odds.push(self.odds.of(kind));
            let further = odds.iter().copied().chain(std::iter::repeat(average));
            if best(further.take(most), &prices).0 <= guesses.len() {
                break;
            }
            logits = self.step(&[token], cancel)?;
        }
        // Made they are, but a check takes another row. One is checked in any case, or nothing would be learnt.
        let (n, _) = best(odds.into_iter(), &Prices { guess: 0.0, ..prices });
        guesses.truncate(n.max(1));
        Ok(())
    }

    /// The logits behind `text`.
    fn read(&mut self, text: &[u32], cancel: &CancelToken) -> Result<Vec<f32>, EngineError> {
        let same = self.seq.tokens().iter().zip(text).take_while(|(a, b)| a == b).count();
        let kept = self.seq.truncate(same.min(text.len() - 1));
        let logits = self.step(&text[kept..], cancel)?;
        if self.seq.has_running_state() {
            // Its own guesses are not to be gone back over to the beginning.
            self.seq.mark()?;
        }
        Ok(logits)
    }

    fn step(&mut self, tokens: &[u32], cancel: &CancelToken) -> Result<Vec<f32>, EngineError> {
        let start = Instant::now();
        let work = Work { seq: &mut self.seq, tokens, logits: Logits::Last };
        let mut stop = |_, _| if cancel.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        let logits = self.runner.step(&mut [work], &mut stop)?.to_vec();
        self.costs.note(tokens.len(), start.elapsed().as_secs_f64());
        Ok(logits)
    }

    /// What became of the last guesses: so many were right, and perhaps one behind them wrong.
    pub(super) fn judge(&mut self, right: usize, wrong: bool) {
        for (i, &kind) in self.kinds.iter().take(right + usize::from(wrong)).enumerate() {
            self.odds.note(kind, i < right);
            self.all.note(0, i < right);
        }
        self.wait = if right > 0 { WAIT[0] } else { (2 * self.wait).min(WAIT[1]) };
        self.kinds.clear();
    }
}

fn kind(share: f64) -> usize {
    [0.6, 0.7, 0.8, 0.9, 0.97].iter().take_while(|bound| share >= **bound).count()
}
