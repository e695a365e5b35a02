//! The tokens of an answer, one or several a step.

use super::text::Text;
use super::{Event, FinishReason, GenerateOptions, Timings};
use crate::cancel::CancelToken;
use crate::error::EngineError;
use crate::runner::{Logits, Runner, Work};
use crate::sampler::Sampler;
use crate::sequence::Sequence;
use crate::speculate::{Asked, Speculator};
use std::ops::ControlFlow;
use std::time::Instant;

/// An answer in the making.
pub(super) struct Answer<'a> {
    pub options: &'a GenerateOptions,
    pub cancel: &'a CancelToken,
    pub sampler: Sampler,
    pub text: Text<'a>,
    /// Of the call.
    pub start: Instant,
    pub timings: Timings,
    /// The prompt and what was chosen since. Of these the sequence holds all but the last, which nobody has computed yet, when
    /// a step begins, and at the end.
    pub all: Vec<u32>,
    /// Tokens of the prompt.
    pub prompt: usize,
}

impl Answer<'_> {
    /// Chooses tokens, beginning with `logits` behind the prompt (`[vocab]`), until the answer ends.
    pub fn decode(
        &mut self,
        runner: &mut Runner,
        seq: &mut Sequence,
        mut speculator: Option<&mut Speculator>,
        logits: Vec<f32>,
    ) -> Result<FinishReason, EngineError> {
        let vocab = runner.model().config().vocab;
        let mut first = None;
        // Tokens that the sequence holds ahead of those which were chosen, and the logits behind the last that was and behind
        // each of them.
        let mut ahead: Vec<u32> = Vec::new();
        let mut guessed = 0;
        let mut logits: &[f32] = &logits;
        loop {
            let mut right = 0;
            let finish = loop {
                let row = &logits[right * vocab..(right + 1) * vocab];
                match self.choose(row, seq.ctx(), &mut first) {
                    Ok(None) => {}
                    Ok(finish) => break finish,
                    Err(e) => {
                        // What is only guessed is not left behind.
                        seq.truncate(self.all.len());
                        return Err(e);
                    }
                }
                if ahead.get(right) != self.all.last() {
                    break None;
                }
                right += 1;
            };
            let keep = match &finish {
                // Nobody asks what comes after the last token, even where it is there.
                Some(FinishReason::Cancelled) => self.all.len(),
                _ => self.all.len() - 1,
            };
            if let Some(s) = speculator.as_deref_mut().filter(|_| guessed > 0) {
                self.timings.guessed += guessed;
                self.timings.right += right;
                s.judge(right, finish.is_none() && right < guessed);
            }
            let mut held = seq.truncate(keep);
            if let Some(finish) = finish {
                if held < keep {
                    // Running states were taken back further.
                    let work = Work { seq, tokens: &self.all[held..keep], logits: Logits::None };
                    runner.step(&mut [work], &mut |_, _| ControlFlow::Continue(()))?;
                }
                return Ok(finish);
            }
            guessed = self.look_ahead(&mut ahead, seq, held, speculator.as_deref_mut());
            let mut start = Instant::now();
            if !ahead.is_empty() && (seq.checkpoint().is_err() || self.step(runner, seq, &ahead).is_err()) {
                // A wrong guess must not end an answer: it may lead to infinities, or take more memory than there is.
                (guessed, held) = (0, seq.truncate(keep));
                ahead.clear();
                if let Some(s) = speculator.as_deref_mut() {
                    s.failed();
                }
                start = Instant::now();
            }
            if ahead.is_empty() {
                self.step(runner, seq, &[])?;
            }
            logits = runner.logits();
            if let Some(s) = speculator.as_deref_mut() {
                s.took(seq.len() - held, start.elapsed());
            }
        }
    }

    /// Computes the tokens that the sequence does not hold, and `ahead`.
    fn step(&self, runner: &mut Runner, seq: &mut Sequence, ahead: &[u32]) -> Result<(), EngineError> {
        let tokens = [&self.all[seq.len()..], ahead].concat();
        let work = Work { seq, tokens: &tokens, logits: Logits::Final(1 + ahead.len()) };
        runner.step(&mut [work], &mut |_, _| ControlFlow::Continue(())).map(drop)
    }

    /// Chooses the next token by `logits` and says it; whether the answer ends there, and why.
    fn choose(
        &mut self,
        logits: &[f32],
        ctx: usize,
        first: &mut Option<Instant>,
    ) -> Result<Option<FinishReason>, EngineError> {
        if self.cancel.is_cancelled() {
            return Ok(Some(FinishReason::Cancelled));
        }
        let token = match self.text.forced.pop_front() {
            Some(token) => token,
            None => self.sampler.sample(logits, &self.all)?,
        };
        self.all.push(token);
        self.timings.generated += 1;
        let now = *first.get_or_insert_with(Instant::now);
        self.timings.first_token = now - self.start;
        self.timings.decode = now.elapsed();
        if self.text.tokenizer.is_eog(token) && !self.options.ignore_eos {
            (self.text.on)(Event::Token(token));
            return Ok(Some(FinishReason::Eog));
        }
        if let Some(stop) = self.text.push(token) {
            return Ok(Some(FinishReason::Stop(stop)));
        }
        let full = self.options.max_tokens.is_some_and(|max| self.timings.generated >= max);
        // The last token is not computed: nobody asks what comes after it.
        Ok(match full {
            true => Some(FinishReason::MaxTokens),
            false => (self.all.len() > ctx).then_some(FinishReason::ContextFull),
        })
    }

    /// What is known to come next, or else guesses of it, where the sequence holds `held` tokens. Returns how many are guesses.
    fn look_ahead(
        &mut self,
        ahead: &mut Vec<u32>,
        seq: &Sequence,
        held: usize,
        speculator: Option<&mut Speculator>,
    ) -> usize {
        ahead.clear();
        let left = self.options.max_tokens.map_or(usize::MAX, |max| max - self.timings.generated);
        let room = (seq.ctx() - self.all.len()).min(left - 1);
        // Tokens that a running state was taken back over come first, or there would be ever more of them.
        if held + 1 < self.all.len() {
            return 0;
        }
        if !self.text.forced.is_empty() {
            ahead.extend(self.text.forced.iter().take(room));
            return 0;
        }
        let Some(speculator) = speculator else { return 0 };
        let (redo, cancel) = (seq.has_running_state(), self.cancel);
        let asked = Asked { text: &self.all, own: self.prompt, room, redo, cancel };
        ahead.extend_from_slice(speculator.guess(&asked));
        ahead.len()
    }
}
