//! `hewn bench`: how fast models run here, beside how fast they could.
//!
//! Tests of all combinations take turns, repetition after repetition, so that whatever else the machine does hits all of
//! them alike; and each is measured between two looks at the machine's ceilings with the same threads and instruction
//! set.

mod compare;
mod cost;
mod kernels;
pub mod measure;
mod plan;
pub mod print;
mod results;

use crate::args::{BenchArgs, Layout};
use crate::errors::CliError;
use crate::outfile::{OutputFile, parts};
use crate::output::{Interrupt, bytes};
use crate::pack;
use crate::roofline::{Machine, available_memory, large_buffer};
use crate::synth::{self, Synthetic, Temporary};
use cost::{Ceilings, Cost, ModelCost};
use hewn_engine::{
    CancelToken, EngineError, KvType, Model, PackMode, PackOptions, Runner, RunnerOptions, Sequence, SequenceOptions,
    Team,
};
use hewn_kernels::probe::Buffer;
use indicatif::{ProgressBar, ProgressStyle};
use plan::{Kind, Plan, Test};
use print::Style;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use results::{Report, Row, Spread};
use std::collections::HashSet;
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Runs the subcommand.
pub fn run(a: &BenchArgs) -> Result<(), CliError> {
    if let [old, new] = &a.compare[..] {
        return compare::run(old, new);
    }
    if a.list_shapes {
        return synth::list();
    }
    let plan = Plan::new(a)?;
    let mut made =
        a.shape.iter().flat_map(|s| a.quant.iter().map(|q| Synthetic::find(s, q))).collect::<Result<Vec<_>, _>>()?;
    // The same twice is measured once, as with files.
    let mut seen = HashSet::new();
    made.retain(|m| seen.insert(m.name()));
    let interrupt = Interrupt::install()?;
    // `-` is where the result goes anyway.
    let output = OutputFile::maybe(a.output.as_deref().filter(|o| o.as_os_str() != "-"), "")?;
    if let Some(filter) = &a.kernels {
        let text = kernels::run(a, &plan, filter, &interrupt)?;
        return match output {
            Some(output) => output.write_text(&text),
            None => Ok(stdout().lock().write_all(text.as_bytes())?),
        };
    }
    if a.models.is_empty() && made.is_empty() {
        return Err(CliError::usage("no model was given", "name one or more GGUF files, or a shape with --shape"));
    }
    let packed = plan.layouts.contains(&Layout::Packed);
    let made =
        interrupt.guard(|cancel| made.iter().map(|m| m.temporary(packed, cancel)).collect::<Result<Vec<_>, _>>())?;
    let models: Vec<&Path> = a.models.iter().map(PathBuf::as_path).chain(made.iter().map(Temporary::path)).collect();
    let bench = Bench::new(a, &plan, &models)?;
    if let Some(output) = &output {
        output.must_not_be(bench.subjects.iter().flat_map(|s| parts(s.model.gguf())))?;
    }
    let report = bench.run(a, &plan, &interrupt)?;
    let style = Style::of(a);
    if let Some(output) = output {
        output.write_text(&print::text(&report, style)?)?;
        return Ok(stdout().lock().write_all(print::text(&report, Style::Table)?.as_bytes())?);
    }
    Ok(stdout().lock().write_all(print::text(&report, style)?.as_bytes())?)
}

/// A model in one layout.
struct Subject {
    name: String,
    layout: &'static str,
    model: Arc<Model>,
    cost: ModelCost,
    /// For every depth, sequences of that length.
    pools: Vec<(usize, Vec<Sequence>)>,
}

/// A model on a team.
struct Lane {
    subject: usize,
    runner: Runner,
}

/// One test on one lane.
struct Case {
    lane: usize,
    test: Test,
    cost: Cost,
    samples: Vec<Sample>,
}

struct Sample {
    seconds: f64,
    ceilings: Ceilings,
}

struct Bench {
    subjects: Vec<Subject>,
    lanes: Vec<Lane>,
    cases: Vec<Case>,
    buffer: Buffer,
}

impl Bench {
    /// Opens everything and checks that it can run.
    fn new(a: &BenchArgs, plan: &Plan, models: &[&Path]) -> Result<Self, CliError> {
        let chunk = a.chunk as usize;
        let mut opened = Vec::new();
        for path in models {
            // Without its packed file first: what cannot run is told before that is made.
            let model = Model::open(path, &a.change.options(true, PackOptions::default()))?;
            let (ctx, most) = (plan.ctx(), model.config().ctx);
            if ctx > most {
                let cause = format!("{} has a context of {most}, but a test needs {ctx}", path.display());
                return Err(CliError::usage(cause, "lower --depth, --prompt or --generate"));
            }
            opened.push(model);
        }
        check_memory(a, plan, &opened)?;
        let mut subjects = Vec::new();
        for ((path, name), model) in models.iter().zip(names(models)).zip(opened) {
            let cost = ModelCost::new(model.gguf(), model.config(), a.kv.into(), chunk).with_adapters(&model);
            for layout in &plan.layouts {
                let mode = if *layout == Layout::Packed { PackMode::Wait } else { PackMode::Off };
                let options = a.change.options(true, pack::options(mode)?);
                let model = Model::open(path, &options).map_err(|e| CliError::from(e).of_layouts())?;
                let model = Arc::new(model);
                // Floating-point matrices have no other layout.
                let layout = if model.packed().0 > 0 { "packed" } else { "file" };
                if !subjects.iter().any(|s: &Subject| s.name == name && s.layout == layout) {
                    subjects.push(Subject { name: name.clone(), layout, model, cost, pools: Vec::new() });
                }
            }
        }
        let mut lanes = Vec::new();
        let mut largest: Option<Arc<Team>> = None;
        for &isa in &plan.isas {
            for &threads in &plan.threads {
                let team = Arc::new(Team::new(threads, isa).map_err(EngineError::from)?);
                if largest.as_ref().is_none_or(|t| threads > t.threads()) {
                    largest = Some(team.clone());
                }
                for (subject, s) in subjects.iter().enumerate() {
                    let runner = Runner::new(s.model.clone(), team.clone(), &RunnerOptions { chunk })?;
                    lanes.push(Lane { subject, runner });
                }
            }
        }
        lanes.sort_by_key(|l| l.subject);
        let mut cases = Vec::new();
        for (i, lane) in lanes.iter().enumerate() {
            let cost = subjects[lane.subject].cost;
            cases.extend(plan.tests.iter().map(|t| Case { lane: i, test: *t, cost: cost.of(t), samples: Vec::new() }));
        }
        let team = largest.ok_or_else(|| CliError::usage("there is nothing to run", "`hewn bench --help`"))?;
        Ok(Self { subjects, lanes, cases, buffer: large_buffer(&team)? })
    }

    fn run(mut self, a: &BenchArgs, plan: &Plan, interrupt: &Interrupt) -> Result<Report, CliError> {
        let bar = progress((self.cases.len() * (a.repetitions as usize + 1)) as u64);
        let done = interrupt.guard(|cancel| -> Result<(), CliError> {
            self.prepare(a, plan, cancel)?;
            for repetition in 0..=a.repetitions {
                self.repeat(a, repetition, &bar, cancel)?;
            }
            Ok(())
        });
        bar.finish_and_clear();
        done?;
        Ok(self.report(a))
    }

    /// Fills the sequences of every depth; by the contract it does not matter which lane does it.
    fn prepare(&mut self, a: &BenchArgs, plan: &Plan, cancel: &CancelToken) -> Result<(), CliError> {
        let options = SequenceOptions { ctx: Some(plan.ctx()), kv: a.kv.into() };
        for (i, subject) in self.subjects.iter_mut().enumerate() {
            let lanes = self.lanes.iter_mut().filter(|l| l.subject == i);
            let Some(lane) = lanes.max_by_key(|l| l.runner.team().threads()) else { continue };
            for (depth, batch) in plan.pools() {
                let mut first = Sequence::new(&subject.model, &options)?;
                let mut rng = ChaCha8Rng::seed_from_u64(a.seed);
                measure::fill(&mut lane.runner, &mut first, depth, &mut rng, cancel)?;
                let mut pool = vec![first];
                while pool.len() < batch {
                    pool.push(pool[0].try_clone()?);
                }
                subject.pools.push((depth, pool));
            }
        }
        Ok(())
    }

    /// Every case once. Repetition 0 is the warm-up: shorter, and not counted.
    fn repeat(&mut self, a: &BenchArgs, n: u32, bar: &ProgressBar, cancel: &CancelToken) -> Result<(), CliError> {
        let mut before: Option<(usize, Ceilings)> = None;
        for i in 0..self.cases.len() {
            let case = &mut self.cases[i];
            let lane = &mut self.lanes[case.lane];
            let subject = &mut self.subjects[lane.subject];
            bar.set_message(format!("{} {}", subject.name, case.test.name()));
            let pool = subject.pools.iter_mut().find(|(d, _)| *d == case.test.depth);
            let Some((_, pool)) = pool else { continue };
            let mut rng = ChaCha8Rng::seed_from_u64(a.seed.wrapping_add(u64::from(n)));
            if n == 0 {
                let warm = case.test.warm_up(a.chunk as usize);
                measure::run(&mut lane.runner, &warm, pool, &mut rng, cancel)?;
            } else {
                let (team, model) = (lane.runner.team().clone(), subject.model.clone());
                // A prompt's weights are read so rarely that it does not matter from where.
                let weights = if case.test.kind == Kind::Generate { model.weights_memory() } else { Vec::new() };
                // What was just measured on this lane for the case before will do.
                let first = match before.take() {
                    Some((lane, c)) if lane == case.lane && (weights.is_empty() || c.weights > 0.0) => c,
                    _ => measure::ceilings(&team, &self.buffer, &case.cost, &weights)?,
                };
                let seconds = measure::run(&mut lane.runner, &case.test, pool, &mut rng, cancel)?;
                let second = measure::ceilings(&team, &self.buffer, &case.cost, &weights)?;
                case.samples.push(Sample { seconds, ceilings: first.max(second) });
                before = Some((case.lane, second));
            }
            bar.inc(1);
        }
        Ok(())
    }

    fn report(&self, a: &BenchArgs) -> Report {
        let results = self.cases.iter().map(|c| self.row(a, c)).collect();
        Report { machine: Machine::here(), repetitions: a.repetitions as usize, seed: a.seed, results }
    }

    fn row(&self, a: &BenchArgs, c: &Case) -> Row {
        let lane = &self.lanes[c.lane];
        let (subject, team) = (&self.subjects[lane.subject], lane.runner.team());
        let tensors = subject.model.gguf().tensors();
        let median = |f: &dyn Fn(&Sample) -> f64| Spread::of(&c.samples.iter().map(f).collect::<Vec<_>>()).median;
        let samples: Vec<f64> = c.samples.iter().map(|s| c.cost.tokens / s.seconds).collect();
        let tokens_per_s = Spread::of(&samples);
        let steps_per_s = tokens_per_s.median / c.cost.tokens;
        let (read, arithmetic) = (median(&|s| c.cost.least(&s.ceilings).0), median(&|s| c.cost.least(&s.ceilings).1));
        let alone = Some(median(&|s| s.ceilings.weights)).filter(|rate| c.test.kind == Kind::Generate && *rate > 0.0);
        Row {
            model: subject.name.clone(),
            size_bytes: tensors.iter().map(|t| t.bytes).sum(),
            parameters: tensors.iter().map(|t| t.elements()).sum(),
            layout: subject.layout.to_owned(),
            kv: KvType::from(a.kv).name().into(),
            chunk: a.chunk as usize,
            isa: team.isa().kind().name().to_owned(),
            threads: team.threads(),
            test: c.test.name(),
            tokens_per_s,
            samples,
            gb_per_s: c.cost.bytes * steps_per_s / 1e9,
            gop_per_s: c.cost.operations() * steps_per_s / 1e9,
            bound: if read >= arithmetic { "memory" } else { "arithmetic" }.to_owned(),
            read_ceiling_gb_per_s: c.cost.bytes / read / 1e9,
            arithmetic_ceiling_gop_per_s: c.cost.operations() / arithmetic / 1e9,
            share: median(&|s| {
                let (read, arithmetic) = c.cost.least(&s.ceilings);
                read.max(arithmetic) / s.seconds
            }),
            weights_gb_per_s: alone.map(|rate| rate / 1e9),
            share_of_reading: alone.map(|_| median(&|s| c.cost.bytes / s.ceilings.weights / s.seconds)),
        }
    }
}

/// The file names without their endings; where two files would be called the same, with the folders that tell them apart.
fn names(models: &[&Path]) -> Vec<String> {
    let real: Vec<PathBuf> = models.iter().map(|p| p.canonicalize().unwrap_or_else(|_| p.to_path_buf())).collect();
    let tail = |path: &Path, n: usize| {
        let parts: Vec<_> = path.components().collect();
        let tail: PathBuf = parts[parts.len().saturating_sub(n)..].iter().collect();
        tail.with_extension("").display().to_string()
    };
    let name = |path: &PathBuf| {
        let own = |n: &usize| real.iter().all(|other| other == path || tail(other, *n) != tail(path, *n));
        let enough = (1..=path.components().count()).find(own);
        // The endings are all that differs.
        enough.map_or_else(|| path.display().to_string(), |n| tail(path, n))
    };
    real.iter().map(name).collect()
}

/// Caches and scratch must fit; the weights stay in their files.
fn check_memory(a: &BenchArgs, plan: &Plan, models: &[Model]) -> Result<(), CliError> {
    let Some(free) = available_memory() else { return Ok(()) };
    let lanes = (plan.isas.len() * plan.threads.len() * plan.layouts.len()) as u64;
    let mut need = 0u64;
    for m in models {
        let longest = plan.tests.iter().filter(|t| t.kind == Kind::Prompt).map(Test::ctx).max().unwrap_or(0);
        let rows =
            (a.chunk as usize).min(longest.max(plan.tests.iter().map(|t| t.batch.max(t.depth)).max().unwrap_or(1)));
        need = need.saturating_add(m.memory(1, a.kv.into(), rows.max(1)).scratch.saturating_mul(lanes));
        for (depth, batch) in plan.pools() {
            let ctx = plan.tests.iter().filter(|t| t.depth == depth).map(Test::ctx).max().unwrap_or(depth);
            let memory = m.memory(ctx, a.kv.into(), rows.max(1));
            let kv = memory.kv.saturating_add(memory.states).saturating_mul(batch as u64);
            need = need.saturating_add(kv.saturating_mul(plan.layouts.len() as u64));
        }
    }
    if need > free {
        let cause = format!("the tests need {} of memory besides the weights; {} are free", bytes(need), bytes(free));
        return Err(CliError::failure(cause, "lower --batch, --depth or the number of combinations"));
    }
    Ok(())
}

fn progress(n: u64) -> ProgressBar {
    let bar = ProgressBar::new(n);
    match ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

#[cfg(test)]
mod tests {
    use super::names;
    use std::path::Path;

    #[test]
    fn names_tell_files_apart() {
        let of = |paths: &[&str]| names(&paths.iter().map(Path::new).collect::<Vec<_>>());
        assert_eq!(of(&["no/a/m.gguf", "no/b/n.gguf"]), ["m", "n"]);
        assert_eq!(of(&["no/a/m.gguf", "no/b/m.gguf", "no/b/n.gguf"]), ["a/m", "b/m", "n"]);
        assert_eq!(of(&["no/x/a/m.gguf", "no/y/a/m.gguf"]), ["x/a/m", "y/a/m"]);
        assert_eq!(of(&["no/m.gguf", "no/m.gguf"]), ["m", "m"]);
        assert_eq!(of(&["no/m.gguf", "no/m.bin"]), ["no/m.gguf", "no/m.bin"]);
    }
}
