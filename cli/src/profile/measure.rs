//! The run: ceilings, a warm-up, what is in the context before, the prompt, the answer, ceilings again.

use super::counters::Counters;
use super::pages;
use crate::args::{Layout, ProfileArgs};
use crate::bench::measure::tokens;
use crate::errors::CliError;
use crate::roofline::{Limits, large_buffer};
use crate::{pack, prompt, setup};
use hewn_engine::record::{MemoryRecorder, Recorder, Recording};
use hewn_engine::tokenizer::Tokenizer;
use hewn_engine::{
    CancelToken, EngineError, KvType, Logits, Model, PackMode, PackOptions, Runner, RunnerOptions, Sequence,
    SequenceOptions, Team, Work,
};
use hewn_kernels::probe::read_rate_of;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Events of a kind and thread that are kept: a few hundred megabytes.
const EVENTS: usize = 2_000_000;
/// More than a layer has.
const OPS_A_LAYER: usize = 32;
const WARM_UP: usize = 4;
/// Of the weights alone.
const READINGS: usize = 3;

/// What was measured, before anything is made of it.
pub struct Profile {
    pub path: PathBuf,
    pub model: Arc<Model>,
    pub team: Arc<Team>,
    pub kv: String,
    pub chunk: usize,
    /// Tokens in the context before the first phase.
    pub depth: usize,
    pub limits: Limits,
    /// Bytes per second at which the threads read the weights with nothing done to them, from where they lie.
    pub weights: f64,
    /// The part of the weights in memory that lies in huge pages; none where the system does not tell.
    pub huge_pages: Option<f64>,
    /// Why there are no hardware counters.
    pub missing: Option<String>,
    pub phases: Vec<PhaseRun>,
}

/// A phase as it was recorded.
pub struct PhaseRun {
    pub name: &'static str,
    pub tokens: usize,
    /// The steps' time, seen from outside.
    pub wall: Duration,
    pub recording: Recording,
    pub counters: BTreeMap<&'static str, u64>,
}

/// Runs everything.
pub fn run(a: &ProfileArgs, path: &Path, cancel: &CancelToken) -> Result<Profile, CliError> {
    let isa = setup::isa(a.isa.as_deref())?;
    // Without its packed file first: what cannot run is told before that is made.
    let model = Model::open(path, &a.change.options(true, PackOptions::default()))?;
    let mut rng = ChaCha8Rng::seed_from_u64(a.seed);
    let vocab = model.config().vocab;
    let random = a.pp.unwrap_or(if a.tg.is_some() { 0 } else { 512 });
    let text = match &a.prompt {
        Some(text) => Some(prompt::plain(&Tokenizer::from_gguf(model.gguf())?, text).tokens),
        None => None,
    };
    if text.as_ref().is_some_and(Vec::is_empty) {
        return Err(CliError::usage(
            "the prompt has no tokens",
            "give some text, or a number of random tokens with --pp",
        ));
    }
    let generate = a.tg.unwrap_or(if a.pp.is_some() { 0 } else { 64 });
    let (prompt, most) = (text.as_ref().map_or(random, Vec::len), model.config().ctx);
    let need = a.depth.saturating_add(prompt).saturating_add(generate);
    if need.max(WARM_UP) > most {
        let cause = format!("{} has a context of {most}, but the run needs {need}", path.display());
        return Err(CliError::usage(cause, "lower --depth, --pp or --tg"));
    }
    let steps = prompt.div_ceil(a.chunk as usize).max(generate);
    if steps.saturating_mul(OPS_A_LAYER * (model.config().layers + 1)) > EVENTS {
        let cause = format!("{} tokens are too many to keep every event of", need - a.depth);
        return Err(CliError::usage(cause, "lower --pp or --tg, or raise --chunk"));
    }
    let input = text.unwrap_or_else(|| tokens(&mut rng, random, vocab));
    drop(model);
    let mode = if a.layout == Layout::Packed { PackMode::Wait } else { PackMode::Off };
    let options = a.change.options(true, pack::options(mode)?);
    let model = Arc::new(Model::open(path, &options).map_err(|e| CliError::from(e).of_layouts())?);

    // Counters see the threads that are started after them.
    let mut counters = Counters::open();
    let threads = setup::threads(a.threads)?;
    let team = Arc::new(Team::new(threads, isa).map_err(EngineError::from)?);
    let mut runner = Runner::new(model.clone(), team.clone(), &RunnerOptions { chunk: a.chunk as usize })?;
    let buffer = large_buffer(&team)?;
    let before = Limits::measure(&team, &buffer)?;
    let context = SequenceOptions { ctx: Some(need.max(WARM_UP)), kv: a.kv.into() };
    let mut warm = Sequence::new(&model, &context)?;
    let first = tokens(&mut rng, input.len().min(a.chunk as usize).max(WARM_UP), vocab);
    step(&mut runner, &mut warm, &first, cancel)?;
    drop(warm);

    let mut seq = Sequence::new(&model, &context)?;
    if a.depth > 0 {
        step(&mut runner, &mut seq, &tokens(&mut rng, a.depth, vocab), cancel)?;
    }
    let recorder = Arc::new(MemoryRecorder::new(threads, EVENTS));
    runner.record(Some(recorder.clone() as Arc<dyn Recorder>));
    let mut phases = Vec::new();
    let mut next = tokens(&mut rng, 1, vocab);
    for (name, n) in [("prefill", input.len()), ("decode", generate)] {
        if n == 0 {
            continue;
        }
        counters.start();
        if name == "prefill" {
            next = vec![step(&mut runner, &mut seq, &input, cancel)?];
        } else {
            for _ in 0..n {
                next = vec![step(&mut runner, &mut seq, &next, cancel)?];
            }
        }
        let counters = counters.stop();
        let recording = recorder.take();
        if recording.dropped > 0 {
            let cause = format!("{} events of the {name} found no room", recording.dropped);
            return Err(CliError::failure(cause, "profile fewer tokens"));
        }
        let wall = recording.steps.iter().map(|s| s.end - s.start).sum();
        phases.push(PhaseRun { name, tokens: n, wall, recording, counters });
    }
    let limits = before.max(Limits::measure(&team, &buffer)?);
    let lie = model.weights_memory();
    let weights = read_rate_of(&team, &lie, READINGS).map_err(EngineError::from)?;
    let huge_pages = pages::huge(&lie);
    let kv = KvType::from(a.kv).name().to_owned();
    let (path, chunk, missing) = (path.to_owned(), a.chunk as usize, counters.missing());
    drop(lie);
    Ok(Profile { path, model, team, kv, chunk, depth: a.depth, limits, weights, huge_pages, missing, phases })
}

/// Appends tokens; the most likely next one.
fn step(r: &mut Runner, seq: &mut Sequence, tokens: &[u32], cancel: &CancelToken) -> Result<u32, CliError> {
    let go = || if cancel.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    let logits = r.step(&mut [Work { seq, tokens, logits: Logits::Last }], &mut |_, _| go())?;
    let best = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(i, _)| i as u32);
    if go().is_break() { Err(EngineError::Cancelled.into()) } else { Ok(best) }
}
