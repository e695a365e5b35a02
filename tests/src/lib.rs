//! Shared helpers of the integration tests: the reference material beside a checkout, and running a model on tokens.

pub mod adapted;
pub mod altered;
pub mod embedding;
pub mod fixture;
pub mod naive;
pub mod tiny;

use hewn_engine::{CpuIsa, KvType, Logits, Model, Runner, RunnerOptions, Sequence, SequenceOptions, Team, Work};
use hewn_kernels::Format;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use tiny::Shape;

/// The folder of reference material beside the checkout, where there is one; says on stderr when there is not.
pub fn shared() -> Option<PathBuf> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    if dir.join("fixtures").is_dir() {
        return Some(dir);
    }
    eprintln!("skipped: no ../shared beside this checkout");
    None
}

/// Whether the tests run on an emulated CPU (`.ci/emulated`), at a fiftieth of the speed: then fewer tokens and
/// combinations, but every format, instruction set and architecture.
pub fn emulated() -> bool {
    std::env::var_os("HEWN_EMULATED").is_some()
}

/// So many tokens, or as many as an emulated CPU can do with.
pub fn tokens(n: u32) -> u32 {
    if emulated() { n.min(24) } else { n }
}

/// Shapes of made models in a format; on an emulated CPU one of them, another for each format.
pub fn shapes(format: Format) -> Vec<Shape> {
    let all = vec![Shape::qwen2(format), Shape::llama(format), Shape::windowed(format), Shape::qwen3moe(format)];
    if !emulated() {
        return all;
    }
    let turn = Format::ALL.iter().position(|f| *f == format).expect("one of all") % all.len();
    all.into_iter().skip(turn).take(1).collect()
}

/// How a model is run in a test.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Instruction set.
    pub isa: CpuIsa,
    /// Threads.
    pub threads: usize,
    /// Tokens a step.
    pub chunk: usize,
    /// Cache format.
    pub kv: KvType,
}

impl Setup {
    /// The best instruction set, two threads (one on an emulated CPU, where two tests run side by side), everything in one
    /// step.
    pub fn new(kv: KvType) -> Self {
        Self { isa: CpuIsa::best(), threads: if emulated() { 1 } else { 2 }, chunk: 512, kv }
    }
}

/// Logits of every token, `[tokens, vocab]`, the tokens going in `setup.chunk` a step.
pub fn all_logits(model: &Arc<Model>, tokens: &[u32], setup: Setup) -> Vec<f32> {
    let team = Arc::new(Team::new(setup.threads, setup.isa).unwrap());
    let mut runner = Runner::new(model.clone(), team, &RunnerOptions::default()).unwrap();
    let mut seq = Sequence::new(model, &SequenceOptions { ctx: None, kv: setup.kv }).unwrap();
    let mut out = Vec::new();
    for part in tokens.chunks(setup.chunk) {
        let work = Work { seq: &mut seq, tokens: part, logits: Logits::All };
        out.extend_from_slice(runner.step(&mut [work], &mut |_, _| ControlFlow::Continue(())).unwrap());
    }
    out
}

/// `sum((x - r)^2) / sum((r - mean(r))^2)`.
pub fn nmse(x: &[f32], r: &[f32]) -> f64 {
    assert_eq!(x.len(), r.len());
    let mean = r.iter().map(|v| f64::from(*v)).sum::<f64>() / r.len() as f64;
    let err: f64 = x.iter().zip(r).map(|(x, r)| (f64::from(*x) - f64::from(*r)).powi(2)).sum();
    err / r.iter().map(|r| (f64::from(*r) - mean).powi(2)).sum::<f64>()
}

/// Index of the largest value, the first of equals.
pub fn top(row: &[f32]) -> usize {
    row.iter().enumerate().fold(0, |best, (i, v)| if *v > row[best] { i } else { best })
}
