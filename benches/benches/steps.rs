//! Whole steps of a small model with random weights, two threads: a prompt and one token, with and without a recorder. The
//! difference between the two is what recording costs.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hewn_engine::loader::Gguf;
use hewn_engine::record::{MemoryRecorder, Recorder};
use hewn_engine::synth::{self, MIXES, Shape};
use hewn_engine::{CpuIsa, Logits, Model, Runner, RunnerOptions, Sequence, SequenceOptions, Team, Work};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Positions before the one that is measured.
const DEPTH: usize = 64;

fn steps(c: &mut Criterion) {
    let mut file = Vec::new();
    let shape = Shape::find("smollm2-135m").expect("a shape");
    synth::write(shape, MIXES[0], 1, &mut file, &mut |_, _| ControlFlow::Continue(())).expect("memory");
    let model = Arc::new(Model::from_gguf(Gguf::from_bytes(file).expect("a file")).expect("a model"));
    let team = Arc::new(Team::new(2, CpuIsa::best()).expect("two threads"));
    let recorder = Arc::new(MemoryRecorder::new(2, 1_000_000));
    let mut runner = Runner::new(model.clone(), team, &RunnerOptions::default()).expect("memory");
    let mut seq = Sequence::new(&model, &SequenceOptions::default()).expect("a sequence");
    let tokens: Vec<u32> = (0..DEPTH as u32).collect();
    for (name, tokens, before) in [("prompt", &tokens[..], 0), ("token", &tokens[..1], DEPTH)] {
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Elements(tokens.len() as u64));
        for recorded in [false, true] {
            runner.record(recorded.then(|| recorder.clone() as Arc<dyn Recorder>));
            let id = BenchmarkId::from_parameter(if recorded { "recorded" } else { "unrecorded" });
            group.bench_function(id, |b| {
                b.iter_custom(|turns| {
                    let mut spent = Duration::ZERO;
                    for _ in 0..turns {
                        seq.truncate(before);
                        let start = Instant::now();
                        let work = Work { seq: &mut seq, tokens, logits: Logits::Last };
                        runner.step(&mut [work], &mut |_, _| ControlFlow::Continue(())).expect("a step");
                        spent += start.elapsed();
                        recorder.take();
                    }
                    spent
                });
            });
        }
        group.finish();
    }
}

criterion_group! { name = benches; config = Criterion::default().sample_size(30); targets = steps }
criterion_main!(benches);
