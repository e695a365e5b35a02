//! The loop that most programs want: a prompt in, text out piece by piece, reasoning kept apart from the answer.

mod decode;
mod text;

use crate::cancel::CancelToken;
use crate::chat::think::{Channel, Marks};
use crate::error::EngineError;
use crate::runner::{Logits, Runner, Work};
use crate::sampler::{Sampler, SamplerOptions};
use crate::sequence::Sequence;
use crate::tokenizer::Tokenizer;
use decode::Answer;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};
use text::Text;
pub(crate) use text::assemble;

/// How to treat `<think>...</think>`, and the marks that other models have instead.
#[derive(Clone, Debug, Default)]
pub struct Thinking {
    /// Recognise the markers; otherwise everything is answer.
    pub parse: bool,
    /// The prompt ends inside the reasoning: its template wrote the opening one of these.
    pub opened: Option<&'static Marks>,
    /// After so many tokens of reasoning the closing marker is put in the model's mouth. Where it goes on nevertheless and
    /// closes the reasoning itself soon, what it said until then is reasoning too.
    pub budget: Option<usize>,
}

/// What to generate.
#[derive(Clone, Debug, Default)]
pub struct GenerateOptions {
    /// At most so many tokens; until the model ends or the context is full when not given.
    pub max_tokens: Option<usize>,
    /// How tokens are chosen.
    pub sampler: SamplerOptions,
    /// Seed of the choice where `sampler` has none.
    pub seed: u64,
    /// The answer ends before any of these.
    pub stop: Vec<String>,
    /// Reasoning.
    pub think: Thinking,
    /// Go on after an end token.
    pub ignore_eos: bool,
}

/// What happens while generating.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// So much of the prompt is done.
    Prefill {
        /// Tokens computed.
        done: usize,
        /// Tokens to compute (what was cached is not among them).
        total: usize,
    },
    /// A token was chosen.
    Token(u32),
    /// Text is certain.
    Text {
        /// Reasoning or answer.
        channel: Channel,
        /// The piece.
        text: &'a str,
    },
}

/// Why generation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// The model chose an end token.
    Eog,
    /// `max_tokens` were generated.
    MaxTokens,
    /// This stop string came up.
    Stop(String),
    /// The sequence is full.
    ContextFull,
    /// The caller cancelled; what was generated until then counts.
    Cancelled,
}

/// How long it took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timings {
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// How many of them were in the sequence already.
    pub cached_tokens: usize,
    /// Computing the others.
    pub prefill: Duration,
    /// From the call to the first token.
    pub first_token: Duration,
    /// Tokens generated.
    pub generated: usize,
    /// Generating all but the first of them.
    pub decode: Duration,
    /// Tokens that were [guessed](crate::speculate) and checked.
    pub guessed: usize,
    /// How many of those were right, so that they took no step of their own.
    pub right: usize,
}

impl Timings {
    /// Tokens of the prompt computed per second.
    pub fn prefill_speed(&self) -> f64 {
        speed(self.prompt_tokens.saturating_sub(self.cached_tokens), self.prefill)
    }

    /// Tokens generated per second, after the first.
    pub fn decode_speed(&self) -> f64 {
        speed(self.generated.saturating_sub(1), self.decode)
    }
}

fn speed(n: usize, t: Duration) -> f64 {
    if t.is_zero() { 0.0 } else { n as f64 / t.as_secs_f64() }
}

/// The outcome.
#[derive(Clone, Debug)]
pub struct Generation {
    /// The answer.
    pub text: String,
    /// The reasoning before it.
    pub reasoning: String,
    /// All tokens generated, an end token included.
    pub tokens: Vec<u32>,
    /// Why it ended.
    pub finish: FinishReason,
    /// How long it took.
    pub timings: Timings,
}

/// Continues `prompt` (the token ids of the whole conversation) in `seq`. The part of the prompt that the sequence
/// holds already is not computed again (that is, what [`Sequence::truncate`] can keep of it); what it holds beyond that is
/// forgotten. Where layers have a window, the sequence is [marked](Sequence::mark) at the end of the prompt, and a few
/// tokens before it where they keep a running state, in place of a mark that it had: what many prompts begin with is better
/// kept in a sequence of its own and [cloned](Sequence::try_clone).
///
/// # Errors
/// An empty prompt, one that does not fit the context, a bad option, or a failed step. A cancellation is no error.
pub fn generate(
    runner: &mut Runner,
    tokenizer: &Tokenizer,
    seq: &mut Sequence,
    prompt: &[u32],
    options: &GenerateOptions,
    cancel: &CancelToken,
    on: &mut dyn FnMut(Event<'_>),
) -> Result<Generation, EngineError> {
    let start = Instant::now();
    let vocab = runner.model().config().vocab;
    let sampler = Sampler::new(without_suppressed(&options.sampler, tokenizer, vocab), vocab, options.seed)?;
    let text = Text::new(tokenizer, options, on);
    if prompt.is_empty() {
        return Err(EngineError::Option { name: "prompt", reason: "there is no token in it".into() });
    }
    if prompt.len() > seq.ctx() {
        return Err(EngineError::Context { wanted: prompt.len(), ctx: seq.ctx() });
    }
    // The last token is always computed: its logits are needed.
    let common = prompt.iter().zip(seq.tokens()).take_while(|(a, b)| a == b).count();
    let cached = seq.truncate(common.min(prompt.len() - 1));
    let mut timings = Timings { prompt_tokens: prompt.len(), cached_tokens: cached, ..Timings::default() };

    let total = prompt.len() - cached;
    let mut progress = |done| {
        (text.on)(Event::Prefill { done, total });
        if cancel.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let read = match marked(runner, seq, &prompt[cached..], &mut progress) {
        Ok(ahead) => {
            let work = Work { seq: &mut *seq, tokens: &prompt[cached + ahead..], logits: Logits::Last };
            runner.step(&mut [work], &mut |done, _| progress(ahead + done))
        }
        Err(e) => Err(e),
    };
    let logits = match read {
        Ok(logits) => {
            if seq.has_window() && !seq.has_running_state() {
                // Where the next prompt of a conversation goes on.
                seq.mark()?;
            }
            logits.to_vec()
        }
        Err(EngineError::Cancelled) => return Ok(text.finish(Vec::new(), FinishReason::Cancelled, timings)),
        Err(e) => return Err(e),
    };
    timings.prefill = start.elapsed();
    if options.max_tokens == Some(0) {
        return Ok(text.finish(Vec::new(), FinishReason::MaxTokens, timings));
    }
    // What guesses and what runs are one value, and both are needed.
    let mut speculator = runner.speculator.take();
    let mut answer =
        Answer { options, cancel, sampler, text, start, timings, all: prompt.to_vec(), prompt: prompt.len() };
    let finish = answer.decode(runner, seq, speculator.as_mut(), logits);
    runner.speculator = speculator;
    let Answer { text, timings, all, .. } = answer;
    Ok(text.finish(all[prompt.len()..].to_vec(), finish?, timings))
}

/// Tokens at the end of a prompt in front of which a running state is noted: more than those with which templates open an
/// answer, and which look different in the history that the next prompt has.
const OPENING: usize = 8;

/// Reads all but the end of `tokens` and marks the sequence there, where it has a running state: so that the next prompt of
/// a conversation can go on from there, without the reasoning that templates leave out. Returns how many were read.
fn marked(
    runner: &mut Runner,
    seq: &mut Sequence,
    tokens: &[u32],
    progress: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Result<usize, EngineError> {
    let ahead = tokens.len().saturating_sub(OPENING);
    if ahead == 0 || !seq.has_running_state() {
        return Ok(0);
    }
    let work = Work { seq: &mut *seq, tokens: &tokens[..ahead], logits: Logits::None };
    let mut stopped = false;
    runner.step(&mut [work], &mut |done, _| {
        let go = progress(done);
        stopped = go.is_break();
        go
    })?;
    // A step goes on to its end where it is stopped behind its last chunk; here that is not the last of the prompt.
    if stopped {
        return Err(EngineError::Cancelled);
    }
    // Without a mark the next prompt takes longer, and nothing else: too little memory for one is no reason to stop.
    let _ = seq.mark();
    Ok(ahead)
}

/// `options` with a bias against the tokens that the file says are never to be generated.
pub(crate) fn without_suppressed(options: &SamplerOptions, tokenizer: &Tokenizer, vocab: usize) -> SamplerOptions {
    let ids = tokenizer.suppressed().iter().filter(|id| (**id as usize) < vocab);
    let mut options = options.clone();
    options.logit_bias.extend(ids.map(|id| (*id, f32::NEG_INFINITY)));
    options
}
