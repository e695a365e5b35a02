//! A recorder is told everything that a step does, and changes nothing.

use hewn_engine::record::{MemoryRecorder, Op, Recorder};
use hewn_engine::{CpuIsa, Logits, Model, Runner, RunnerOptions, Sequence, SequenceOptions, Team, Work};
use hewn_kernels::Format;
use hewn_loader::Gguf;
use hewn_tests::tiny::{Shape, Tiny};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

fn runner(threads: usize) -> Runner {
    let file = Tiny::make(Shape::qwen2(Format::Q4K), 1).bytes;
    let model = Arc::new(Model::from_gguf(Gguf::from_bytes(file).unwrap()).unwrap());
    let team = Arc::new(Team::new(threads, CpuIsa::best()).unwrap());
    Runner::new(model, team, &RunnerOptions { chunk: 24 }).unwrap()
}

/// A prompt of 40 tokens in two chunks, then one token; the logits of both.
fn run(r: &mut Runner) -> Vec<f32> {
    let mut seq = Sequence::new(r.model(), &SequenceOptions::default()).unwrap();
    let tokens: Vec<u32> = (0..41).map(|i| i * 5 % 256).collect();
    let mut all = Vec::new();
    for part in [&tokens[..40], &tokens[40..]] {
        let work = Work { seq: &mut seq, tokens: part, logits: Logits::Last };
        all.extend_from_slice(r.step(&mut [work], &mut |_, _| ControlFlow::Continue(())).unwrap());
    }
    all
}

#[test]
fn operations_fill_the_steps() {
    for threads in [1, 3] {
        let mut r = runner(threads);
        let unwatched = run(&mut r);
        let recorder = Arc::new(MemoryRecorder::new(threads, 100_000));
        r.record(Some(recorder.clone() as Arc<dyn Recorder>));
        assert_eq!(run(&mut r), unwatched, "the same bits");
        let all = recorder.take();
        r.record(None);
        run(&mut r);
        assert!(recorder.take().ops.is_empty(), "nobody is told any more");

        assert_eq!(all.dropped, 0);
        let shape = |s: &hewn_engine::record::StepEvent| (s.rows, s.sequences, s.logits);
        assert_eq!(all.steps.iter().map(shape).collect::<Vec<_>>(), [(24, 1, 0), (16, 1, 1), (1, 1, 1)]);
        let wall: Duration = all.steps.iter().map(|s| s.end - s.start).sum();
        let ops: Duration = all.ops.iter().map(|o| o.end - o.start).sum();
        // Only what the recorder itself does between the two is missing.
        assert!(ops <= wall && ops.as_secs_f64() > 0.95 * wall.as_secs_f64(), "{ops:?} of {wall:?}");
        assert!(all.ops.windows(2).all(|o| o[0].end <= o[1].start), "they do not overlap");
        for op in Op::ALL {
            let here: Vec<_> = all.ops.iter().filter(|o| o.op == op).collect();
            let (layers, want) = match op {
                Op::Router => (false, 0),
                Op::Team => (false, 6),
                Op::Embedding | Op::RopeTables => (false, 3),
                Op::Logits => (false, 2),
                // In each of two layers of three steps; some twice, and once more before the logits of two of them.
                Op::Norm => (true, 12 + 2),
                Op::Quantize => (true, 24 + 2),
                Op::ResidualAdd => (true, 12),
                _ => (true, 6),
            };
            assert_eq!(here.len(), want, "{}", op.name());
            assert_eq!(here.iter().any(|o| o.layer == Some(1)), layers, "{}", op.name());
        }
        let find = |op: Op, rows: usize| all.ops.iter().find(|o| o.op == op && o.cost.rows == rows).unwrap().cost;
        // 512 x 256 weights, two such matrices, 24 rows; 144 bytes for 256 weights.
        let gate_up = find(Op::GateUpProduct, 24);
        assert_eq!((gate_up.narrow, gate_up.weight_bytes), (24 * 2 * 512 * 256, 2 * 512 * 144));
        // Position 40 sees 41 positions, of 2 heads with 64 channels of keys and of values in halfs.
        let attention = find(Op::Attention, 1);
        assert_eq!((attention.kv_bytes, attention.float), (41 * 2 * 128 * 2, 41 * 4 * 128));
        if threads == 1 {
            assert!(all.busy.is_empty() && all.regions.is_empty(), "there is nobody to wait for");
        } else {
            assert!(all.busy.iter().all(|b| b.worker < threads && b.start <= b.end));
            let inside = |r: &(_, _)| all.ops.iter().any(|o| o.start <= r.0 && r.1 <= o.end);
            assert!(!all.regions.is_empty() && all.regions.iter().all(inside));
        }
    }
}
