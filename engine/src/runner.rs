//! Steps: tokens of any number of sequences go in, logits come out.

use crate::error::{EngineError, zeroed};
use crate::forward::{Forward, Gives, Segment, switched};
use crate::model::Model;
use crate::record::{Cost, Lap, Op, Recorder, StepEvent};
use crate::scratch::Scratch;
use crate::sequence::Sequence;
use crate::speculate::Speculator;
use hewn_kernels::{Team, TeamWatch};
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::time::Instant;

/// Which rows of a sequence's tokens get logits, or are given themselves. Logits are the dearest rows of a small model: ask for what you need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logits {
    /// None: the tokens only enter the cache.
    None,
    /// The first token's.
    First,
    /// The last token's.
    Last,
    /// Those of the last so many tokens.
    Final(usize),
    /// Every token's.
    All,
}

impl Logits {
    /// Of how many tokens, of `len`.
    pub(crate) fn count(self, len: usize) -> usize {
        self.range(len).len()
    }

    /// Of which tokens, of `len`.
    fn range(self, len: usize) -> Range<usize> {
        match self {
            Self::None => len..len,
            Self::First => 0..len.min(1),
            Self::Last => len.saturating_sub(1)..len,
            Self::Final(n) => len.saturating_sub(n)..len,
            Self::All => 0..len,
        }
    }
}

/// One sequence's part of a step.
pub struct Work<'a> {
    /// The sequence, which grows by the tokens.
    pub seq: &'a mut Sequence,
    /// The tokens to append.
    pub tokens: &'a [u32],
    /// Whose logits to compute, or which rows to give.
    pub logits: Logits,
}

/// How a runner is made.
#[derive(Clone, Debug)]
pub struct RunnerOptions {
    /// Rows computed at once. Longer steps are cut; the scratch grows with it, the results do not change. Of models that read
    /// texts as a whole, none can be longer.
    pub chunk: usize,
}

impl Default for RunnerOptions {
    fn default() -> Self {
        Self { chunk: 512 }
    }
}

/// Runs steps of one model on one team, with scratch of its own. Several runners can share a model and a team.
pub struct Runner {
    model: Arc<Model>,
    team: Arc<Team>,
    scratch: Scratch,
    /// Rows that the scratch has room for now; grows up to `chunk` on demand.
    rows: usize,
    chunk: usize,
    logits: Vec<f32>,
    /// How many of them the last step gave.
    given: usize,
    recorder: Option<Arc<dyn Recorder>>,
    pub(crate) speculator: Option<Speculator>,
}

/// Called between chunks with the rows done and the rows in all; `Break` stops the step. A chunk that has begun is finished:
/// stopped between two layers, running states would have no way back to where they were. So how soon a step stops follows
/// from [`RunnerOptions::chunk`].
pub type Progress<'a> = dyn FnMut(usize, usize) -> ControlFlow<()> + 'a;

impl Runner {
    /// A runner of `model` on `team`.
    ///
    /// # Errors
    /// A chunk of 0, or too little memory.
    pub fn new(model: Arc<Model>, team: Arc<Team>, options: &RunnerOptions) -> Result<Self, EngineError> {
        if options.chunk == 0 {
            return Err(EngineError::Option { name: "chunk", reason: "at least one row a step".into() });
        }
        let scratch = Scratch::new(model.config(), 1)?;
        Ok(Self {
            model,
            team,
            scratch,
            rows: 1,
            chunk: options.chunk,
            logits: Vec::new(),
            given: 0,
            recorder: None,
            speculator: None,
        })
    }

    /// The model.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// The team.
    pub fn team(&self) -> &Arc<Team> {
        &self.team
    }

    /// Rows computed at once: [`RunnerOptions::chunk`].
    pub fn rows_at_once(&self) -> usize {
        self.chunk
    }

    /// Has every step from now on told to `recorder`, or to nobody.
    pub fn record(&mut self, recorder: Option<Arc<dyn Recorder>>) {
        self.recorder = recorder;
    }

    /// Has [`generate`](crate::generate()) guess tokens ahead, or not. It changes how long that takes, and nothing else.
    pub fn speculate(&mut self, speculator: Option<Speculator>) {
        self.speculator = speculator;
    }

    /// What guesses, if anything does.
    pub fn speculator(&mut self) -> Option<&mut Speculator> {
        self.speculator.as_mut()
    }

    /// Appends every work's tokens to its sequence and returns the logits asked for, `[rows, vocab]`, in the order of
    /// the works and their tokens.
    ///
    /// The result for a sequence does not depend on what else is in the step, nor on how its tokens are cut into steps.
    ///
    /// # Errors
    /// Nothing is appended when a token, a sequence or the context is wrong. When the step fails or is cancelled
    /// later, sequences keep the chunks that were finished ([`Sequence::len`] tells) and can be continued; after a failure,
    /// those with a running state only what [`Sequence::truncate`] can go back to.
    pub fn step(&mut self, works: &mut [Work<'_>], progress: &mut Progress<'_>) -> Result<&[f32], EngineError> {
        if !self.model.config().causal {
            return Err(EngineError::NoLogits { arch: self.model.config().arch.name });
        }
        self.run(works, Gives::Logits, progress)
    }

    /// As [`step`](Self::step), but gives rows instead of logits: the stream behind its last norm, `[rows, dim]`, of which
    /// vectors of texts are made. Where a model reads texts [as a whole](crate::ModelConfig::causal), a work's tokens are one, and the
    /// sequence must be empty; [`Sequence::truncate`] to 0 makes it so again.
    ///
    /// # Errors
    /// As those of [`step`](Self::step); and a text that must be read as a whole is longer than a chunk.
    pub fn rows(&mut self, works: &mut [Work<'_>], progress: &mut Progress<'_>) -> Result<&[f32], EngineError> {
        self.run(works, Gives::Rows, progress)
    }

    fn run(
        &mut self,
        works: &mut [Work<'_>],
        gives: Gives,
        progress: &mut Progress<'_>,
    ) -> Result<&[f32], EngineError> {
        let total = self.check(works)?;
        let wanted: usize = works.iter().map(|w| w.logits.count(w.tokens.len())).sum();
        let need = wanted.saturating_mul(self.width(gives));
        self.given = 0;
        if self.logits.len() < need {
            self.logits = Vec::new();
            self.logits = zeroed(need, "the logits")?;
        }
        let rows = total.min(self.chunk);
        if rows > self.rows {
            self.scratch = Scratch::new(self.model.config(), rows)?;
            self.rows = rows;
        }
        let (mut done, mut written) = (0, 0);
        let mut cursor = Cursor { work: 0, token: 0 };
        while done < total {
            let (n, finished) = self.chunk(works, gives, &mut cursor, written)?;
            (done, written) = (done + n, written + finished);
            if progress(done, total).is_break() && done < total {
                return Err(EngineError::Cancelled);
            }
        }
        self.given = need;
        Ok(self.logits())
    }

    /// Numbers of a row of what a step gives.
    fn width(&self, gives: Gives) -> usize {
        match gives {
            Gives::Logits => self.model.config().vocab,
            Gives::Rows => self.model.config().dim,
        }
    }

    /// Those that the last step returned; none where it failed.
    pub(crate) fn logits(&self) -> &[f32] {
        &self.logits[..self.given]
    }

    fn check(&self, works: &[Work<'_>]) -> Result<usize, EngineError> {
        let c = self.model.config();
        let mut total = 0usize;
        for w in works {
            if !w.seq.fits(c) {
                return Err(EngineError::ForeignSequence);
            }
            if let Some(&token) = w.tokens.iter().find(|t| **t as usize >= c.vocab) {
                return Err(EngineError::Token { token, vocab: c.vocab });
            }
            let wanted = w.seq.len() + w.tokens.len();
            if wanted > w.seq.ctx() {
                return Err(EngineError::Context { wanted, ctx: w.seq.ctx() });
            }
            if !c.causal && !w.seq.is_empty() && !w.tokens.is_empty() {
                let reason = "a text that is read as a whole cannot go on".into();
                return Err(EngineError::Option { name: "sequence", reason });
            }
            if !c.causal && w.tokens.len() > self.chunk {
                return Err(EngineError::WholeText { tokens: w.tokens.len(), most: self.chunk });
            }
            total += w.tokens.len();
        }
        Ok(total)
    }

    /// Runs the next rows; returns how many, and how many rows of logits were written from row `written` on.
    fn chunk(
        &mut self,
        works: &mut [Work<'_>],
        gives: Gives,
        cursor: &mut Cursor,
        written: usize,
    ) -> Result<(usize, usize), EngineError> {
        let mut segments: Vec<Segment<'_>> = Vec::new();
        let (mut n, mut wanted) = (0, Vec::new());
        let first = cursor.work;
        for (i, w) in works.iter_mut().enumerate().skip(first) {
            let start = if i == first { cursor.token } else { 0 };
            // A text that must not be cut waits for the next chunk, into which it fits.
            if !self.model.config().causal && w.tokens.len() > self.chunk - n {
                break;
            }
            let take = (w.tokens.len() - start).min(self.chunk - n);
            let end = start + take;
            *cursor =
                if end == w.tokens.len() { Cursor { work: i + 1, token: 0 } } else { Cursor { work: i, token: end } };
            let asked = w.logits.range(w.tokens.len());
            wanted.extend((start.max(asked.start)..end.min(asked.end)).map(|token| n + token - start));
            if take > 0 {
                segments.push(Segment { seq: w.seq, tokens: &w.tokens[start..end] });
            }
            n += take;
            if n == self.chunk {
                break;
            }
        }
        let width = self.width(gives);
        let out = &mut self.logits[written * width..(written + wanted.len()) * width];
        let (model, s) = (&*self.model, &mut self.scratch);
        let recorder = self.recorder.as_deref();
        let start = recorder.map(|_| Instant::now());
        let mut lap = Lap::new(recorder);
        lap.op(Op::Team, Cost::default);
        let switched = switched(model.config(), &segments);
        let switched = &switched;
        let result = self.team.watched_step(recorder.map(|r| r as &dyn TeamWatch), |crew| {
            let result = Forward { model, crew, s, n, lap: &mut lap, tokens: Vec::new(), switched, gives }.run(
                &mut segments,
                &wanted,
                out,
            );
            lap.op(Op::Team, Cost::default);
            result
        });
        lap.finish();
        let result = result.map_err(EngineError::from).flatten();
        if let (Some(recorder), Some(start), Ok(())) = (recorder, start, &result) {
            let (sequences, logits) = (segments.len(), wanted.len());
            recorder.step(&StepEvent { rows: n, sequences, logits, start, end: Instant::now() });
        }
        for seg in &mut segments {
            match &result {
                Ok(()) => {
                    seg.seq.tokens.extend_from_slice(seg.tokens);
                    seg.seq.forget_unseen();
                }
                // Some layers may have been appended to already.
                Err(_) => seg.seq.undo(),
            }
        }
        result.map(|()| (n, wanted.len()))
    }
}

/// Where the next chunk starts.
struct Cursor {
    work: usize,
    token: usize,
}
