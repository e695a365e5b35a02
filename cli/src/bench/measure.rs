//! One repetition of one test, and the ceilings around it.

use super::cost::{Ceilings, Cost};
use super::plan::{Kind, Test};
use crate::errors::CliError;
use hewn_engine::{CancelToken, EngineError, Logits, Runner, Sequence, Team, Work};
use hewn_kernels::probe::{Buffer, DotKind, dot_rate, fma_rate, read_rate, read_rate_of};
use rand_chacha::ChaCha8Rng;
use rand_core::Rng;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// Random token ids.
pub fn tokens(rng: &mut ChaCha8Rng, n: usize, vocab: usize) -> Vec<u32> {
    (0..n).map(|_| (rng.next_u64() % vocab as u64) as u32).collect()
}

/// Appends `n` random tokens to a sequence.
pub fn fill(r: &mut Runner, s: &mut Sequence, n: usize, rng: &mut ChaCha8Rng, c: &CancelToken) -> Result<(), CliError> {
    let all = tokens(rng, n, r.model().config().vocab);
    step(r, &mut [Work { seq: s, tokens: &all, logits: Logits::None }], c)?;
    // Where a running state has to come back to after each test.
    Ok(s.mark()?)
}

/// Seconds that `t` takes with `pool` (at least `t.batch` sequences, each of them `t.depth` long before and after).
pub fn run(
    r: &mut Runner,
    t: &Test,
    pool: &mut [Sequence],
    rng: &mut ChaCha8Rng,
    cancel: &CancelToken,
) -> Result<f64, CliError> {
    let vocab = r.model().config().vocab;
    let seqs = &mut pool[..t.batch];
    let input: Vec<Vec<u32>> = seqs.iter().map(|_| tokens(rng, t.tokens, vocab)).collect();
    let start = Instant::now();
    let steps = if t.kind == Kind::Prompt { 1 } else { t.tokens };
    let per = t.tokens / steps;
    for i in 0..steps {
        let mut works: Vec<Work<'_>> = seqs
            .iter_mut()
            .zip(&input)
            .map(|(seq, tokens)| Work { seq, tokens: &tokens[i * per..(i + 1) * per], logits: Logits::Last })
            .collect();
        step(r, &mut works, cancel)?;
    }
    let time = start.elapsed().as_secs_f64();
    for s in seqs {
        s.truncate(t.depth);
    }
    Ok(time)
}

fn step(r: &mut Runner, works: &mut [Work<'_>], cancel: &CancelToken) -> Result<(), CliError> {
    let go = || if cancel.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    r.step(works, &mut |_, _| go())?;
    // The last chunk of a step is finished in any case.
    if go().is_break() { Err(EngineError::Cancelled.into()) } else { Ok(()) }
}

/// The ceilings that matter for `cost`, now, and how fast `weights` are read where they lie.
pub fn ceilings(team: &Team, buffer: &Buffer, cost: &Cost, weights: &[&[u8]]) -> Result<Ceilings, CliError> {
    let time = Duration::from_millis(4);
    let measure = || {
        let mut c = Ceilings { read: read_rate(team, buffer, 1)?, ..Ceilings::default() };
        c.weights = read_rate_of(team, weights, 1)?;
        if cost.has_blocks() {
            c.narrow = dot_rate(team, DotKind::Narrow, time, 1)?;
            c.signed = dot_rate(team, DotKind::Signed, time, 1)?;
        }
        if cost.has_floats() {
            c.float = fma_rate(team, time, 1)?;
        }
        Ok(c)
    };
    measure().map_err(|e: hewn_engine::TeamError| EngineError::from(e).into())
}
