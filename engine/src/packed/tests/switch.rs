//! The switch from the model's file to the packed one: at any time, in any order, the same bits.

use super::*;
use crate::{CpuIsa, LoadOptions, Logits, Model, Runner, RunnerOptions, Sequence, SequenceOptions, Team, Work};
use std::ops::ControlFlow;

struct Run {
    runner: Runner,
    seq: Sequence,
}

impl Run {
    fn new(isa: CpuIsa) -> (Arc<Model>, Self) {
        let model = Arc::new(Model::open(Path::new(TINY), &LoadOptions::default()).unwrap());
        let team = Arc::new(Team::new(2, isa).unwrap());
        let runner = Runner::new(model.clone(), team, &RunnerOptions::default()).unwrap();
        let seq = Sequence::new(&model, &SequenceOptions::default()).unwrap();
        (model, Self { runner, seq })
    }

    /// The bits of the logits after these tokens.
    fn step(&mut self, tokens: &[u32]) -> Vec<u32> {
        let work = Work { seq: &mut self.seq, tokens, logits: Logits::All };
        let logits = self.runner.step(&mut [work], &mut |_, _| ControlFlow::Continue(())).unwrap();
        logits.iter().map(|v| v.to_bits()).collect()
    }
}

/// A prompt, then token by token.
fn cut() -> impl Iterator<Item = Vec<u32>> {
    [(0..20).collect()].into_iter().chain((20..60u32).map(|t| vec![t * 7 % 270]))
}

fn packed_tiny(dir: &Path) -> PathBuf {
    let (model, target) = (Model::open(Path::new(TINY), &LoadOptions::default()).unwrap(), dir.join("p"));
    let report = crate::packed::write(&model, &target, false, &CancelToken::new(), &|_| {}).unwrap();
    assert!(report.written && report.bytes == target.metadata().unwrap().len());
    target
}

#[test]
fn any_matrix_may_be_switched_between_any_two_steps() {
    let dir = tempfile::tempdir().unwrap();
    let target = packed_tiny(dir.path());
    for isa in CpuIsa::available() {
        let (_, mut plain) = Run::new(isa);
        let want: Vec<Vec<u32>> = cut().map(|t| plain.step(&t)).collect();
        for order in [1, 4] {
            let (model, mut run) = Run::new(isa);
            let plan = model.plan();
            let n = plan.items.len();
            assert_eq!(model.packed(), (0, n));
            for (i, (tokens, want)) in cut().zip(&want).enumerate() {
                assert!(run.step(&tokens) == *want, "{} after {i} switches", isa.kind());
                // Fifteen matrices; four has no divisor in common with that.
                let one = plan.items[i * order % n].clone();
                let index = i * order % n;
                let pack = open(&plan, &target).unwrap();
                let range = one.range(usize::MAX).unwrap();
                assert_eq!(one.target.slot.set(&pack.map(), range), i < n, "matrix {index}");
                assert_eq!(model.packed(), ((i + 1).min(n), n));
            }
        }
    }
}

#[test]
fn a_model_may_be_switched_in_the_middle_of_a_step() {
    let dir = tempfile::tempdir().unwrap();
    let target = packed_tiny(dir.path());
    let (_, mut plain) = Run::new(CpuIsa::best());
    let want: Vec<Vec<u32>> = cut().map(|t| plain.step(&t)).collect();
    let mut between = 0;
    for delay in 0..40 {
        let (model, mut run) = Run::new(CpuIsa::best());
        std::thread::scope(|s| {
            s.spawn(|| {
                std::thread::sleep(std::time::Duration::from_micros(200 * delay));
                crate::packed::attach(&model, &target, &CancelToken::new()).unwrap();
            });
            for (i, (tokens, want)) in cut().zip(&want).enumerate() {
                let before = model.packed().0;
                assert!(run.step(&tokens) == *want, "delay {delay}, step {i}");
                between += usize::from(model.packed().0 != before);
            }
        });
        assert_eq!(model.packed(), (15, 15));
    }
    assert!(between > 0, "no switch ever fell into a step");
}

#[test]
fn rows_of_a_tied_embedding_are_still_found() {
    let dir = tempfile::tempdir().unwrap();
    let target = packed_tiny(dir.path());
    let (model, mut run) = Run::new(CpuIsa::best());
    let output = model.plan().items.last().unwrap().target.clone();
    assert!(output.looked_up && output.tensor.name == "token_embd.weight");
    let (_, mut plain) = Run::new(CpuIsa::best());
    crate::packed::attach(&model, &target, &CancelToken::new()).unwrap();
    assert!(output.slot.get().is_some());
    assert!(run.step(&[1, 2, 272]) == plain.step(&[1, 2, 272]));
}
