//! A recorder is told everything that a step does, and changes nothing.

use hewn_engine::record::{MemoryRecorder, Op, OpEvent, Recorder, Recording};
use hewn_engine::synth;
use hewn_engine::{CpuIsa, Logits, Model, Runner, RunnerOptions, Sequence, SequenceOptions, Team, Work};
use hewn_kernels::Format;
use hewn_loader::Gguf;
use hewn_tests::tiny::{Shape, Tiny};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

fn runner(file: Vec<u8>, threads: usize) -> Runner {
    let model = Arc::new(Model::from_gguf(Gguf::from_bytes(file).unwrap()).unwrap());
    let team = Arc::new(Team::new(threads, CpuIsa::best()).unwrap());
    Runner::new(model, team, &RunnerOptions { chunk: 24 }).unwrap()
}

/// What a run is told to a recorder.
fn recorded(r: &mut Runner) -> Recording {
    let recorder = Arc::new(MemoryRecorder::new(r.team().threads(), 100_000));
    r.record(Some(recorder.clone() as Arc<dyn Recorder>));
    run(r);
    r.record(None);
    recorder.take()
}

/// A fixture's runner, and what a run of it is told: without gaps.
fn fixture(name: &str, threads: usize) -> (Runner, Recording) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("data/arch/{name}.gguf"));
    let mut r = runner(std::fs::read(file).unwrap(), threads);
    let all = recorded(&mut r);
    no_gaps(&all);
    (r, all)
}

/// A prompt of 40 tokens in two chunks, then one token; the logits of both.
fn run(r: &mut Runner) -> Vec<f32> {
    let mut seq = Sequence::new(r.model(), &SequenceOptions::default()).unwrap();
    let tokens: Vec<u32> = (0..41).map(|i| i * 5 % 96).collect();
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
        let mut r = runner(Tiny::make(Shape::qwen2(Format::Q4K), 1).bytes, threads);
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
                Op::Router | Op::ExpertGateUp | Op::ExpertDown | Op::Combine => (false, 0),
                Op::Convolution | Op::DeltaRule | Op::Scan | Op::LatentProduct | Op::Regroup | Op::LogitBounds => {
                    (false, 0)
                }
                Op::LayerInput | Op::AltUp | Op::Laurel => (false, 0),
                Op::Team => (false, 6),
                Op::Embedding | Op::RopeTables => (false, 3),
                Op::Logits => (false, 2),
                // In each of two layers of three steps; some twice, and once more before the logits of two of them.
                Op::Norm => (true, 12 + 2),
                // In steps of several rows, activation and quantization before `down` belong to the gate's product; in
                // others, that quantization to the activation.
                Op::Activation => (true, 2),
                Op::Quantize => (true, 24 - 6 + 2),
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

/// Operations of the last step, which is one token.
fn decode(all: &Recording) -> Vec<OpEvent> {
    let last = all.steps.last().unwrap();
    assert_eq!(last.rows, 1);
    all.ops.iter().filter(|o| o.start >= last.start).copied().collect()
}

/// An operation begins where the one before ends, but between steps.
fn no_gaps(all: &Recording) {
    assert_eq!(all.dropped, 0);
    let gaps = all.ops.windows(2).filter(|o| o[0].end != o[1].start).count();
    assert_eq!(gaps, all.steps.len() - 1);
}

/// Bytes of a file's matrices that a row's products read, if it goes to `used` of `count` experts.
fn read_by_a_row(model: &Model, [used, count]: [u64; 2]) -> u64 {
    let (gguf, config) = (model.gguf(), model.config());
    let tied = gguf.tensor("output.weight").is_none();
    let matrices = gguf.tensors().iter().filter(|t| {
        t.name.ends_with(".weight")
            && !t.name.ends_with("_norm.weight")
            && (t.dims.len() > 1 || t.name.contains("_inp_shexp."))
    });
    let looked_up = |name: &str| name == "per_layer_token_embd.weight" || !tied && name == "token_embd.weight";
    let read = matrices.filter(|t| !looked_up(&t.name) && !config.is_spare(&t.name));
    read.map(|t| {
        let bytes = gguf.tensor_data(t).len() as u64;
        if t.name.contains("_exps.") { bytes / count * used } else { bytes }
    })
    .sum()
}

fn weights(ops: &[OpEvent], of: impl Fn(Op) -> bool) -> u64 {
    ops.iter().filter(|o| of(o.op)).map(|o| o.cost.weight_bytes).sum()
}

#[test]
fn experts_are_counted_as_far_as_they_are_chosen() {
    let mut made = Vec::new();
    let (shape, mix) = (synth::Shape::find("tiny-moe").unwrap(), synth::Mix::find("q4_k_m").unwrap());
    synth::write(shape, mix, 1, &mut made, &mut |_, _| ControlFlow::Continue(())).unwrap();
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/arch");
    let mut files = vec![("tiny-moe".to_owned(), made)];
    files.extend(
        [
            "granitemoe",
            "gpt-oss",
            "gemma4-moe",
            "qwen35moe",
            "qwen3next",
            "granitehybrid-moe",
            "nemotron_h_moe",
            "jamba",
            "kimi-linear",
            "afmoe",
            "smallthinker",
            "llama4-128",
        ]
        .map(|name| {
            let file = std::fs::read(dir.join(format!("{name}.gguf"))).unwrap();
            (name.to_owned(), file)
        }),
    );
    if let Some(dir) = hewn_tests::shared() {
        // The first is quantized and has experts that take every row, the second latent attention besides.
        let read = |name: &str| std::fs::read(dir.join(format!("fixtures/arch/{name}.gguf"))).unwrap();
        files.extend(["qwen2moe", "deepseek2"].map(|name| (name.to_owned(), read(name))));
    }
    for (name, file) in files {
        for threads in [1, 2] {
            let mut r = runner(file.clone(), threads);
            let all = recorded(&mut r);
            no_gaps(&all);
            let (gguf, e) = (r.model().gguf(), r.model().config().experts.clone().unwrap());
            let (used, count) = (e.used as u64, e.count as u64);
            let want = read_by_a_row(r.model(), [used, count]);
            let ops = decode(&all);
            assert_eq!(weights(&ops, |op| op != Op::Embedding), want, "{name}");
            let expert = |op| matches!(op, Op::ExpertGateUp | Op::ExpertDown);
            let held = gguf.tensors().iter().filter(|t| t.name.contains("_exps.weight"));
            let held: u64 = held.map(|t| gguf.tensor_data(t).len() as u64).sum();
            assert_eq!(weights(&ops, expert), held / count * used, "{name}");
            // A prompt reads an expert once for all rows that chose it.
            let start = all.steps[0].start;
            let first: Vec<_> =
                all.ops.iter().filter(|o| (start..all.steps[0].end).contains(&o.start)).copied().collect();
            let prompt = weights(&first, expert);
            assert!(prompt >= held / count * used && prompt <= held, "{name}");
            for op in [Op::Router, Op::ExpertGateUp, Op::ExpertDown, Op::Combine] {
                let layers: Vec<_> = ops.iter().filter(|o| o.op == op).filter_map(|o| o.layer).collect();
                assert!(layers.contains(&(r.model().config().layers - 1)), "{name} {}", op.name());
            }
            let latent = ops.iter().filter(|o| o.op == Op::LatentProduct).count();
            assert_eq!(latent > 0, ["deepseek2", "kimi-linear"].contains(&&*name), "{name}");
        }
    }
}

#[test]
fn a_window_counts_what_it_shows() {
    let (r, all) = fixture("gpt-oss", 1);
    let c = r.model().config().clone();
    assert_eq!((c.window_of(0), c.window_of(1)), (Some(20), None));
    // Two heads of 8 channels, values padded to 16, in halfs; four query heads.
    let (row, flops) = (2 * (8 + 16) * 2, 4 * 16);
    let cost = |layer, rows| {
        let event = all.ops.iter().rfind(|o| o.op == Op::Attention && o.layer == Some(layer) && o.cost.rows == rows);
        let cost = event.unwrap().cost;
        (cost.kv_bytes / row, cost.float / flops)
    };
    assert_eq!(cost(0, 1), (20, 20));
    assert_eq!(cost(1, 1), (41, 41));
    // Positions 24 to 40: the first sees from 5 on.
    assert_eq!(cost(0, 16), (35, 16 * 20));
    assert_eq!(cost(1, 16), (40, (25..=40).sum()));
}

#[test]
fn layers_are_counted_by_their_own_sizes() {
    let (_, all) = fixture("gemma4", 1);
    let ops = decode(&all);
    let layers = |op| ops.iter().filter(|o| o.op == op).filter_map(|o| o.layer).collect::<Vec<_>>();
    // The last three layers read the caches of layers 2 and 3.
    assert_eq!(layers(Op::KvStore), [0, 1, 2, 3]);
    assert_eq!(layers(Op::Attention), (0..7).collect::<Vec<_>>());
    // Two heads of keys and two of values, padded to 16 channels, in halfs; four query heads, 41 positions.
    let cost = |layer| ops.iter().find(|o| o.op == Op::Attention && o.layer == Some(layer)).unwrap().cost;
    for (layer, seen, channels) in [(0, 20, 8), (2, 20, 8), (3, 41, 16), (4, 20, 8), (5, 41, 16)] {
        let cost = cost(layer);
        let want = (seen * 2 * (channels + 16) * 2, seen * 4 * 2 * channels);
        assert_eq!((cost.kv_bytes, cost.float), want, "layer {layer}");
    }
    // From the embeddings, and twice in each layer; 16-bit weights.
    let products = ops.iter().filter(|o| o.op == Op::LayerInput);
    assert_eq!(products.clone().count(), 1 + 2 * 7);
    assert_eq!(products.map(|o| o.cost.weight_bytes).sum::<u64>(), 2 * (7 * 32 * 32 + 7 * 2 * 32 * 32));
    // Rows of the embedding and of the layers' table.
    assert_eq!(weights(&ops, |op| op == Op::Embedding), 2 * (32 + 7 * 32));
}

#[test]
fn a_running_state_is_read_and_written() {
    let (r, all) = fixture("qwen35", 2);
    let ops = decode(&all);
    assert_eq!(weights(&ops, |op| op != Op::Embedding), read_by_a_row(r.model(), [1, 1]));
    let layers = |op| ops.iter().filter(|o| o.op == op).filter_map(|o| o.layer).collect::<Vec<_>>();
    assert_eq!((layers(Op::Convolution), layers(Op::DeltaRule)), (vec![0, 1, 2, 4, 5, 6], vec![0, 1, 2, 4, 5, 6]));
    assert_eq!((layers(Op::KvStore), layers(Op::Attention)), (vec![3, 7], vec![3, 7]));
    // Four heads of 16 x 16, and three rows of eight heads for the convolution.
    let held = (4 * 16 * 16 + 3 * 8 * 16) * 4;
    for o in all.ops.iter().filter(|o| o.op == Op::DeltaRule) {
        let want = (2 * held, o.cost.rows as u64 * 4 * 4 * 16 * 16);
        assert_eq!((o.cost.kv_bytes, o.cost.float), want);
    }
}

/// Also where they are beside attention, and where a layer is one part.
#[test]
fn a_state_space_is_read_and_written() {
    let check = |name: &str, [heads, v_dim, k_dim, channels]: [u64; 4], layers: [&[usize]; 3]| {
        let (r, all) = fixture(name, 2);
        let ops = decode(&all);
        assert_eq!(weights(&ops, |op| op != Op::Embedding), read_by_a_row(r.model(), [1, 1]), "{name}");
        let of = |op| ops.iter().filter(|o| o.op == op).filter_map(|o| o.layer).collect::<Vec<_>>();
        assert_eq!([of(Op::Scan), of(Op::Attention), of(Op::DownProduct)], layers.map(<[usize]>::to_vec), "{name}");
        let matrices = heads * v_dim.next_multiple_of(16) * k_dim;
        let held = (matrices + (3 * channels).next_multiple_of(16)) * 4;
        for o in all.ops.iter().filter(|o| o.op == Op::Scan) {
            assert_eq!((o.cost.kv_bytes, o.cost.float), (2 * held, o.cost.rows as u64 * 3 * matrices), "{name}");
        }
    };
    // Heads, channels of a value, of a key, and those that are convolved; layers that scan, attend and feed.
    check("granitehybrid", [4, 16, 24, 64 + 48], [&[0, 2, 3], &[1, 4], &[0, 1, 2, 3, 4]]);
    check("falcon-h1", [3, 20, 16, 60 + 32], [&[0, 1, 2]; 3]);
    check("nemotron_h", [4, 24, 16, 96 + 64], [&[0, 2, 5], &[3], &[1, 4, 6]]);
}

/// The first Mamba's: each channel has a column of numbers.
#[test]
fn a_selective_scan_is_read_and_written() {
    for (name, width, k_dim, scanning) in [("mamba", 64, 8, 3), ("falcon-mamba", 40, 5, 2), ("jamba-dense", 64, 8, 2)] {
        let (r, all) = fixture(name, 2);
        let ops = decode(&all);
        assert_eq!(weights(&ops, |op| op != Op::Embedding), read_by_a_row(r.model(), [1, 1]), "{name}");
        assert_eq!(ops.iter().filter(|o| o.op == Op::Scan).count(), scanning, "{name}");
        let matrices = u64::next_multiple_of(width, 16) * k_dim;
        let held = (matrices + (3 * width).next_multiple_of(16)) * 4;
        for o in all.ops.iter().filter(|o| o.op == Op::Scan) {
            assert_eq!((o.cost.kv_bytes, o.cost.float), (2 * held, o.cost.rows as u64 * 13 * matrices), "{name}");
        }
    }
}

#[test]
fn a_short_convolution_keeps_its_last_rows() {
    let (r, all) = fixture("lfm2", 2);
    let ops = decode(&all);
    assert_eq!(weights(&ops, |op| op != Op::Embedding), read_by_a_row(r.model(), [1, 1]));
    let layers = |op| ops.iter().filter(|o| o.op == op).filter_map(|o| o.layer).collect::<Vec<_>>();
    assert_eq!((layers(Op::Convolution), layers(Op::Attention)), (vec![0, 1, 3, 5], vec![2, 4]));
    for o in all.ops.iter().filter(|o| o.op == Op::Convolution) {
        // Two rows of 32 channels, read and written; three taps, a gate before and one behind.
        assert_eq!((o.cost.kv_bytes, o.cost.float), (2 * 2 * 32 * 4, o.cost.rows as u64 * 32 * 5));
    }
}

#[test]
fn residual_streams_are_read_and_written() {
    let (r, all) = fixture("gemma3n", 2);
    let ops = decode(&all);
    // Before the first layer and after the last 32 x 32 for three streams; in each layer, as f32: the router with its norm,
    // what guesses and corrects the streams, what the first is multiplied with.
    let ends = 2 * 3 * 32 * 32 * 2;
    assert_eq!(weights(&ops, |op| op == Op::AltUp), ends + 22 * 4 * (4 * 32 + 32 + 64 + 16 + 32));
    // There and back through 16 channels.
    assert_eq!(weights(&ops, |op| op == Op::Laurel), 22 * 2 * 16 * 32 * 2);
    let own: u64 = ends + 22 * (2 * 4 * 32 + 4 * (64 + 16));
    let rest = weights(&ops, |op| !matches!(op, Op::Embedding | Op::AltUp));
    assert_eq!(rest, read_by_a_row(r.model(), [1, 1]) - own);
    let count = |op, layer| ops.iter().filter(|o| o.op == op && o.layer == layer).count();
    assert_eq!((count(Op::AltUp, Some(3)), count(Op::AltUp, None), count(Op::Laurel, Some(3))), (3, 6, 3));
    // Gates are cut off by an operation of their own; the last one belongs to the layer's input.
    assert_eq!((count(Op::Activation, Some(9)), count(Op::Activation, Some(10))), (3, 2));
    assert_eq!((count(Op::KvStore, Some(19)), count(Op::KvStore, Some(20))), (1, 0));
}

#[test]
fn caps_and_scales_have_their_own_operations() {
    let names = [("command-r", true), ("granite", true), ("gemma3-linear", false), ("falcon", false)];
    for (name, bounded) in names.into_iter().chain([("gemma4", true), ("gemma4-dense", true)]) {
        let (r, all) = fixture(name, 1);
        let ops = decode(&all);
        assert_eq!(ops.iter().any(|o| o.op == Op::LogitBounds), bounded, "{name}");
        assert_eq!(weights(&ops, |op| op != Op::Embedding), read_by_a_row(r.model(), [1, 1]), "{name}");
    }
}
