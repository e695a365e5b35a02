//! How well a model predicts a text, and how far it is from another model.
//!
//! The text is cut into windows of `ctx` tokens, the first of which is replaced by the begin token where the model wants
//! one. The first half of a window is only read, so that every token that counts has at least that much before it; the
//! perplexity is `exp` of the mean of `-log p(token)` over the second halves. These are the customary rules, so the
//! numbers can be compared with those of other programs (at the same `ctx`).
//!
//! The distance from another model is the Kullback-Leibler divergence of the predictions, `sum p (log p - log q)` over
//! the vocabulary with p from the *base*, whose logits were saved before (`store`): that of the same model in F16, say.
//!
//! Memory: the logits of some positions at a time, four bytes a token of the text, sixteen a position that counts. Sums
//! are in f64 in the order of the text, with the `libm` crate's functions: the same figures on every machine.

mod error;
mod score;
mod store;
#[cfg(test)]
mod tests;

pub use error::PerplexityError;
pub use store::{LogitsHeader, LogitsReader, LogitsWriter, vocabulary_hash};

use crate::cancel::CancelToken;
use crate::error::EngineError;
use crate::runner::{Logits, Runner, Work};
use crate::sequence::{Sequence, SequenceOptions};
use hewn_kernels::KvType;
use score::{Row, divergence, score};
use std::ops::ControlFlow;

/// Bytes of logits held at a time, unless one position needs more.
const LOGITS: usize = 32 << 20;

/// How a text is evaluated.
#[derive(Clone, Copy, Debug)]
pub struct PerplexityOptions {
    /// Tokens in a window.
    pub ctx: usize,
    /// Number format of the key/value cache.
    pub kv: KvType,
    /// What the first token of each window is replaced by.
    pub begin: Option<u32>,
}

impl PerplexityOptions {
    /// How many windows `tokens` tokens make; a rest that makes no whole one is left out.
    pub fn windows(&self, tokens: usize) -> usize {
        tokens / self.ctx.max(1)
    }

    /// Positions that count in a window: those that predict a token of its second half.
    pub fn scored(&self) -> usize {
        self.ctx.saturating_sub(1) - self.ctx / 2
    }
}

/// A mean and how sure it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// Its standard error; NaN for a single value.
    pub error: f64,
}

impl Estimate {
    fn of(values: &[f64]) -> Self {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
        Self { mean, error: libm::sqrt(squares / (n - 1.0) / n) }
    }
}

/// How well the model predicts the text.
#[derive(Clone, Debug, PartialEq)]
pub struct PerplexityReport {
    /// Windows evaluated.
    pub windows: usize,
    /// Positions that counted.
    pub scored: usize,
    /// `-log p(token)`, in nats.
    pub nll: Estimate,
    /// Its exponential; the error is that of the logarithm times the value.
    pub perplexity: Estimate,
    /// The distance from the base, where there is one.
    pub divergence: Option<DivergenceReport>,
}

/// How far the model is from the base.
#[derive(Clone, Debug, PartialEq)]
pub struct DivergenceReport {
    /// The base's perplexity on the same text.
    pub base_perplexity: f64,
    /// Divergence a position, in nats.
    pub kl: Estimate,
    /// Half of the positions are below.
    pub median: f64,
    /// 99 % of the positions are below.
    pub p99: f64,
    /// The largest.
    pub max: f64,
    /// Share of the positions at which both find the same token most likely.
    pub same_top: Estimate,
}

/// Called after each window: windows done, windows in all, the perplexity so far.
pub type PerplexityProgress<'a> = dyn FnMut(usize, usize, f64) + 'a;

/// Evaluates `tokens`. With `save`, the logits of all positions that count are written; with `base`, they are compared
/// with saved ones, which must have been made with the same vocabulary, tokens and options.
///
/// # Errors
/// Too few tokens, a window beyond the model's context, a base that does not fit, reading and writing, a failed step,
/// or `cancel` was raised.
pub fn perplexity(
    runner: &mut Runner,
    tokens: &[u32],
    options: &PerplexityOptions,
    mut save: Option<&mut LogitsWriter<'_>>,
    mut base: Option<&mut LogitsReader<'_>>,
    cancel: &CancelToken,
    progress: &mut PerplexityProgress<'_>,
) -> Result<PerplexityReport, PerplexityError> {
    let (ctx, windows) = (options.ctx, options.windows(tokens.len()));
    if ctx < 4 {
        return Err(PerplexityError::Window { ctx });
    }
    if windows == 0 {
        return Err(PerplexityError::TooShort { have: tokens.len(), need: ctx });
    }
    let header = LogitsHeader::new(runner.model(), &tokens[..windows * ctx], options);
    if let Some(base) = &base {
        base.header().check(&header)?;
    }
    if let Some(save) = &mut save {
        save.begin(&header)?;
    }
    let vocab = runner.model().config().vocab;
    let rows = (LOGITS / 4 / vocab.max(1)).clamp(1, ctx);
    let team = runner.team().clone();
    let mut seq = Sequence::new(runner.model(), &SequenceOptions { ctx: Some(ctx), kv: options.kv })?;
    let mut losses: Vec<f64> = Vec::new();
    let (mut base_losses, mut kls, mut tops) = (0.0, Vec::new(), Vec::new());
    for (w, window) in tokens.chunks_exact(ctx).enumerate() {
        let mut window = window.to_vec();
        if let Some(begin) = options.begin {
            window[0] = begin;
        }
        seq.truncate(0);
        let half = ctx / 2;
        step(runner, &mut seq, &window[..half], Logits::None, cancel)?;
        for at in (half..ctx - 1).step_by(rows) {
            let end = (at + rows).min(ctx - 1);
            let logits = step(runner, &mut seq, &window[at..end], Logits::All, cancel)?;
            let targets = &window[at + 1..=end];
            let scores = score(&team, logits, vocab, targets)?;
            losses.extend(scores.iter().map(Row::loss));
            if let Some(save) = &mut save {
                save.write(logits)?;
            }
            if let Some(base) = &mut base {
                let other = base.read(end - at)?;
                let base_scores = score(&team, other, vocab, targets)?;
                base_losses += base_scores.iter().map(Row::loss).sum::<f64>();
                kls.extend(divergence(&team, other, &base_scores, logits, &scores, vocab)?);
                tops.extend(base_scores.iter().zip(&scores).map(|(a, b)| f64::from(u8::from(a.top == b.top))));
            }
        }
        progress(w + 1, windows, libm::exp(losses.iter().sum::<f64>() / losses.len() as f64));
    }
    let nll = Estimate::of(&losses);
    let value = libm::exp(nll.mean);
    let divergence = base.is_some().then(|| {
        let mut sorted = kls.clone();
        sorted.sort_by(f64::total_cmp);
        DivergenceReport {
            base_perplexity: libm::exp(base_losses / losses.len() as f64),
            kl: Estimate::of(&kls),
            median: quantile(&sorted, 0.5),
            p99: quantile(&sorted, 0.99),
            max: quantile(&sorted, 1.0),
            same_top: Estimate::of(&tops),
        }
    });
    Ok(PerplexityReport {
        windows,
        scored: losses.len(),
        nll,
        perplexity: Estimate { mean: value, error: value * nll.error },
        divergence,
    })
}

fn step<'r>(
    runner: &'r mut Runner,
    seq: &mut Sequence,
    tokens: &[u32],
    logits: Logits,
    cancel: &CancelToken,
) -> Result<&'r [f32], PerplexityError> {
    if cancel.is_cancelled() {
        return Err(EngineError::Cancelled.into());
    }
    let go_on = &mut |_, _| if cancel.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    Ok(runner.step(&mut [Work { seq, tokens, logits }], go_on)?)
}

/// The value below which a share of `p` lies, by linear interpolation; of sorted values, of which there is one at least.
fn quantile(sorted: &[f64], p: f64) -> f64 {
    let at = p * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[at as usize], sorted[(at as usize + 1).min(sorted.len() - 1)]);
    below + (above - below) * (at - libm::floor(at))
}
