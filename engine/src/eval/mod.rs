//! How many questions a model answers right.
//!
//! Error figures and perplexity say how far a number format moves a model; right answers say what that costs. The
//! questions ([`read_tasks`]) go through the chat template as those of a user do, and are answered greedily, several
//! sequences in a step: where one ends, the next question takes its place. By the numeric contract an answer depends on
//! the model, its question and the cache format, not on its neighbours, so the batch changes the time and nothing else.

mod report;
mod task;
#[cfg(test)]
mod tests;

pub use report::{Answer, EvalReport, Score};
pub use task::{FILE_LIMIT, LINE_LIMIT, Pattern, Task, TaskError, TaskFault, Want, limit, read_tasks};

use crate::cancel::CancelToken;
use crate::chat::prompt::{self, Prompt};
use crate::chat::{ChatTemplate, Marks, Message, TemplateError};
use crate::error::EngineError;
use crate::generate::{FinishReason, Thinking, assemble, without_suppressed};
use crate::runner::{Logits, Runner, Work};
use crate::sampler::{Sampler, SamplerOptions};
use crate::sequence::{Sequence, SequenceOptions};
use crate::tokenizer::Tokenizer;
use hewn_kernels::KvType;
use std::ops::ControlFlow;
use std::time::Instant;

/// How questions are asked.
#[derive(Clone, Debug)]
pub struct EvalOptions {
    /// Sequences that are computed together.
    pub batch: usize,
    /// Most tokens of an answer, reasoning included; until the context is full where not given.
    pub max_tokens: Option<usize>,
    /// Positions of a sequence; what the model was trained for where not given.
    pub ctx: Option<usize>,
    /// Number format of the key/value cache.
    pub kv: KvType,
}

impl Default for EvalOptions {
    fn default() -> Self {
        Self { batch: 8, max_tokens: None, ctx: None, kv: KvType::default() }
    }
}

/// How far it is.
#[derive(Clone, Copy, Debug)]
pub struct EvalProgress {
    /// Questions answered.
    pub done: usize,
    /// Questions in all.
    pub total: usize,
    /// Right answers.
    pub right: usize,
}

/// Why questions were not asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// The chat template fails on a question.
    #[error("question {number}: {source}")]
    Template {
        /// Its number in the list, from 1.
        number: usize,
        /// Why.
        source: TemplateError,
    },
    /// A question leaves no room for an answer.
    #[error("question {number} has {tokens} tokens, the context {ctx}")]
    Prompt {
        /// Its number in the list, from 1.
        number: usize,
        /// Its tokens, template included.
        tokens: usize,
        /// Positions of a sequence.
        ctx: usize,
    },
    /// An option makes no sense, or a step failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Asks all questions; through `template`, or as plain text where there is none. The highest logit is taken each time,
/// of equals the lower token.
///
/// A cancellation is no error: the report then has the answers that were finished.
///
/// # Errors
/// A question that does not fit the context or that the template refuses (found before the first is asked), a bad
/// option, or a failed step.
pub fn evaluate(
    runner: &mut Runner,
    tokenizer: &Tokenizer,
    template: Option<&ChatTemplate>,
    tasks: &[Task],
    options: &EvalOptions,
    cancel: &CancelToken,
    progress: &mut dyn FnMut(EvalProgress),
) -> Result<EvalReport, EvalError> {
    let start = Instant::now();
    let least_one = |name| EngineError::Option { name, reason: "it must be at least 1".into() };
    if options.batch == 0 {
        return Err(least_one("batch").into());
    }
    if options.max_tokens == Some(0) {
        return Err(least_one("max_tokens").into());
    }
    let model = runner.model().clone();
    let vocab = model.config().vocab;
    let new = || Sequence::new(&model, &SequenceOptions { ctx: options.ctx, kv: options.kv });
    let mut idle = vec![new()?];
    let greedy = SamplerOptions { temperature: 0.0, ..SamplerOptions::default() };
    let greedy = without_suppressed(&greedy, tokenizer, vocab);
    let mut sampler = Sampler::new(greedy, vocab, 0).map_err(EngineError::from)?;
    let mut report =
        EvalReport { answers: Vec::new(), stopped: false, prompt_tokens: 0, generated: 0, elapsed: start.elapsed() };
    let prompts = prepare(tokenizer, template, tasks, idle[0].ctx(), cancel)?;
    let mut queue = prompts.into_iter().enumerate();
    let (mut asked, mut right): (Vec<Asked>, usize) = (Vec::new(), 0);
    while !cancel.is_cancelled() {
        while asked.len() < options.batch
            && let Some((task, prompt)) = queue.next()
        {
            let mut seq = idle.pop().map_or_else(new, Ok)?;
            seq.truncate(0);
            asked.push(Asked::new(task, prompt, seq));
        }
        if asked.is_empty() {
            break;
        }
        let mut works: Vec<Work<'_>> =
            asked.iter_mut().map(|a| Work { seq: &mut a.seq, tokens: &a.input, logits: Logits::Last }).collect();
        let go_on = &mut |_, _| if cancel.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        let logits = match runner.step(&mut works, go_on) {
            Ok(logits) => logits,
            Err(EngineError::Cancelled) => break,
            Err(e) => return Err(e.into()),
        };
        for (a, row) in asked.iter_mut().zip(logits.chunks_exact(vocab)) {
            if a.tokens.is_empty() {
                report.prompt_tokens += a.input.len() as u64;
            }
            report.generated += 1;
            let token = sampler.sample(row, &[]).map_err(EngineError::from)?;
            a.take(token, tokenizer, options.max_tokens);
        }
        for i in (0..asked.len()).rev() {
            if let Some(finish) = asked[i].finish.take() {
                let a = asked.swap_remove(i);
                let (answer, seq) = a.answer(tokenizer, template.is_some(), tasks, finish);
                right += usize::from(answer.right);
                report.answers.push(answer);
                idle.push(seq);
            }
        }
        progress(EvalProgress { done: report.answers.len(), total: tasks.len(), right });
    }
    report.answers.sort_by_key(|a| a.task);
    report.stopped = report.answers.len() < tasks.len();
    report.elapsed = start.elapsed();
    Ok(report)
}

/// The prompts of all questions; fewer where it was cancelled.
fn prepare(
    tokenizer: &Tokenizer,
    template: Option<&ChatTemplate>,
    tasks: &[Task],
    ctx: usize,
    cancel: &CancelToken,
) -> Result<Vec<Prompt>, EvalError> {
    let mut prompts = Vec::new();
    for (number, task) in (1..).zip(tasks) {
        if cancel.is_cancelled() {
            break;
        }
        let prompt = match template {
            Some(template) => prompt::chat(tokenizer, template, &[Message::new("user", &task.prompt)])
                .map_err(|source| EvalError::Template { number, source })?,
            None => prompt::plain(tokenizer, &task.prompt),
        };
        if !(1..=ctx).contains(&prompt.tokens.len()) {
            return Err(EvalError::Prompt { number, tokens: prompt.tokens.len(), ctx });
        }
        prompts.push(prompt);
    }
    Ok(prompts)
}

/// A question that is being answered.
struct Asked {
    task: usize,
    opened: Option<&'static Marks>,
    seq: Sequence,
    /// What its next step computes: the prompt, then one token at a time.
    input: Vec<u32>,
    prompt_tokens: usize,
    tokens: Vec<u32>,
    finish: Option<FinishReason>,
}

impl Asked {
    fn new(task: usize, prompt: Prompt, seq: Sequence) -> Self {
        let (opened, input) = (prompt.opened, prompt.tokens);
        Self { task, opened, seq, prompt_tokens: input.len(), input, tokens: Vec::new(), finish: None }
    }

    /// Takes the next token; ends where [`generate`](crate::generate()) would.
    fn take(&mut self, token: u32, tokenizer: &Tokenizer, max: Option<usize>) {
        self.tokens.push(token);
        self.input.clear();
        self.input.push(token);
        if tokenizer.is_eog(token) {
            self.finish = Some(FinishReason::Eog);
        } else if max.is_some_and(|max| self.tokens.len() >= max) {
            self.finish = Some(FinishReason::MaxTokens);
        } else if self.seq.len() == self.seq.ctx() {
            self.finish = Some(FinishReason::ContextFull);
        }
    }

    /// The answer, and the sequence for the next question.
    fn answer(self, tokenizer: &Tokenizer, parse: bool, tasks: &[Task], finish: FinishReason) -> (Answer, Sequence) {
        let generated = self.tokens.len();
        let said = assemble(tokenizer, Thinking { parse, opened: self.opened, budget: None }, self.tokens, finish);
        let right = tasks.get(self.task).is_some_and(|t| t.want.accepts(&said.text));
        let answer = Answer {
            task: self.task,
            text: said.text,
            reasoning: said.reasoning,
            right,
            finish: said.finish,
            prompt_tokens: self.prompt_tokens,
            generated,
        };
        (answer, self.seq)
    }
}
