//! From arguments to a model that is ready to run.

use crate::args::{GenerateArgs, ModelArgs, TemplateArgs};
use crate::errors::CliError;
use crate::output::{note, warn};
use crate::{bundled, pack};
use hewn_engine::chat::{ChatTemplate, family, template_from_gguf};
use hewn_engine::speculate::{Draft, Speculator};
use hewn_engine::tokenizer::Tokenizer;
use hewn_engine::{
    CpuIsa, LoadOptions, Model, Runner, RunnerOptions, Sequence, SequenceOptions, Team, ThreadChoice, default_threads,
};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A model and a runner for it; the model in the program where none is given, which is said unless it should be quiet.
pub fn runner(a: &ModelArgs, quiet: bool) -> Result<Runner, CliError> {
    // What the machine lacks is known before the file is touched.
    let isa = isa(a.isa.as_deref())?;
    let threads = threads(a.threads)?;
    let model = Arc::new(match &a.model {
        Some(path) => Model::open(path, &a.change.options(!a.no_mmap, pack::options(a.pack.into())?))?,
        None => bundled::open(a)?,
    });
    if a.model.is_none() && !quiet {
        bundled::tell();
    }
    let team = Arc::new(Team::new(threads, isa).map_err(hewn_engine::EngineError::from)?);
    Ok(Runner::new(model, team, &RunnerOptions { chunk: a.chunk as usize })?)
}

/// More threads a processor than this make no sense: they take turns, and each waits for all of them.
const THREADS_A_PROCESSOR: usize = 8;

/// The number of threads asked for, or the usual one.
pub fn threads(asked: Option<u16>) -> Result<usize, CliError> {
    asked.map_or_else(|| Ok(default_threads()), |n| check_threads(n.into()))
}

/// Refuses so many threads that they would hardly get on, and warns of more than there are processors.
pub fn check_threads(n: usize) -> Result<usize, CliError> {
    let processors = ThreadChoice::detect().allowed.max(1);
    let most = processors.saturating_mul(THREADS_A_PROCESSOR);
    let here = if processors == 1 { "the one processor".to_owned() } else { format!("the {processors} processors") };
    if n > most {
        let cause = format!("{n} threads are far too many for {here} that this process may use");
        return Err(CliError::usage(
            cause,
            format!("{most} is the most; without --threads there are {}", default_threads()),
        ));
    }
    if n > processors {
        warn(&format!("{n} threads share {here} that this process may use, and wait for each other"));
    }
    Ok(n)
}

/// Has `runner` guess ahead as far as the options ask.
pub fn speculate(runner: &mut Runner, tokenizer: &Tokenizer, a: &ModelArgs, g: &GenerateArgs) -> Result<(), CliError> {
    if g.speculate == 0 {
        if g.draft.is_some() {
            return Err(CliError::usage("--draft has nothing to do with --speculate 0", "leave out one of them"));
        }
        return Ok(());
    }
    let mut speculator = Speculator::new(g.speculate.into())?;
    if let Some(path) = &g.draft {
        let (mmap, pack) = (!a.no_mmap, pack::options(a.pack.into())?);
        let model = Model::open(path, &LoadOptions { mmap, pack, ..LoadOptions::default() })
            .map_err(|e| CliError::from(e).about(format_args!("the draft model {}", path.display())))?;
        let small = Runner::new(Arc::new(model), runner.team().clone(), &RunnerOptions { chunk: a.chunk as usize })?;
        let own = self::tokenizer(&small)?;
        let options = SequenceOptions { ctx: g.ctx, kv: a.kv.into() };
        let vocab = runner.model().config().vocab;
        speculator = speculator.with_draft(Draft::new(small, &options, &own, tokenizer, vocab)?);
    }
    runner.speculate(Some(speculator));
    Ok(())
}

/// Says so where the draft model failed while it guessed.
pub fn tell_of_draft(runner: &mut Runner) {
    if let Some(e) = runner.speculator().and_then(Speculator::take_lost) {
        warn(&format!("the draft model guesses no more: {e}"));
    }
}

/// The instruction set of this name, or the best where none is given.
pub fn isa(name: Option<&str>) -> Result<CpuIsa, CliError> {
    match name.filter(|name| !name.is_empty()) {
        Some(name) => {
            CpuIsa::from_name(name).map_err(|e| CliError::usage(e, "leave out --isa and HEWN_ISA to use the best one"))
        }
        None => Ok(CpuIsa::best()),
    }
}

/// An empty sequence.
pub fn sequence(runner: &Runner, a: &ModelArgs, g: &GenerateArgs) -> Result<Sequence, CliError> {
    Ok(Sequence::new(runner.model(), &SequenceOptions { ctx: g.ctx, kv: a.kv.into() })?)
}

/// The file's tokenizer; its vocabulary and the model's embedding must agree.
pub fn tokenizer(runner: &Runner) -> Result<Tokenizer, CliError> {
    let tokenizer = Tokenizer::from_gguf(runner.model().gguf())?;
    let (words, rows) = (tokenizer.vocab_size(), runner.model().config().vocab);
    if words > rows {
        let cause = format!("the vocabulary has {words} tokens, but the model only {rows}");
        return Err(CliError::failure(cause, "the file is damaged or was put together wrongly"));
    }
    Ok(tokenizer)
}

/// The file's chat template; where it has none, that of the family which its vocabulary tells, and it is said.
pub fn template(runner: &Runner, tokenizer: &Tokenizer, a: &TemplateArgs) -> Result<Option<ChatTemplate>, CliError> {
    let variables = a.chat_template_kwargs.clone().unwrap_or_default();
    Ok(bare_template(runner, tokenizer)?.map(|t| t.with_variables(variables)))
}

fn bare_template(runner: &Runner, tokenizer: &Tokenizer) -> Result<Option<ChatTemplate>, CliError> {
    let gguf = runner.model().gguf();
    if let Some(source) = template_from_gguf(gguf)? {
        return Ok(Some(ChatTemplate::new(&source)?));
    }
    let Some(family) = family(tokenizer, gguf.metadata().str("general.name")?) else { return Ok(None) };
    note(&format!(
        "the file has no chat template: using that of {} models, by the vocabulary (`run --raw` goes without)",
        family.name
    ));
    Ok(Some(ChatTemplate::new(family.source)?))
}

/// A seed from the clock.
pub fn clock_seed() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_nanos() as u64
}
