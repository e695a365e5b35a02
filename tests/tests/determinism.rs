//! The numeric contract end to end: the same bits for every instruction set, thread count, batching and way to open.

use hewn_engine::loader::Gguf;
use hewn_engine::packed::{self, PackError, PackEvent};
use hewn_engine::quantize::{QuantType, QuantizeOptions, quantize};
use hewn_engine::{
    CancelToken, CpuIsa, KvType, LoadOptions, Logits, Model, Runner, RunnerOptions, Sequence, SequenceOptions, Team,
    Work,
};
use hewn_kernels::Format;
use hewn_tests::fixture::Fixture;
use hewn_tests::tiny::{Shape, Tiny};
use hewn_tests::{Setup, all_logits, emulated, nmse, shapes, shared, tokens};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

fn bits(v: &[f32]) -> Vec<u32> {
    v.iter().map(|x| x.to_bits()).collect()
}

/// Every combination gives the bits of the scalar, one-thread, one-token-a-step run.
fn same_bits(name: &str, model: &Arc<Model>, tokens: &[u32], kv: KvType) {
    same_bits_of(name, model, tokens, kv, |_, _| true);
}

/// The same of one in three combinations of threads and chunks: of those that differ by weights alone, three in turn cover all.
fn same_bits_in_turn(turn: usize, name: &str, model: &Arc<Model>, tokens: &[u32], kv: KvType) {
    same_bits_of(name, model, tokens, kv, |threads, chunk| (threads + chunk + turn).is_multiple_of(3));
}

/// The same of the combinations that `which` takes, by their indices.
fn same_bits_of(name: &str, model: &Arc<Model>, tokens: &[u32], kv: KvType, which: impl Fn(usize, usize) -> bool) {
    let scalar = CpuIsa::available()[0];
    let want = bits(&all_logits(model, tokens, Setup { isa: scalar, threads: 1, chunk: 1, kv }));
    let (all_threads, all_chunks) =
        if emulated() { (&[2][..], &[1, 64][..]) } else { (&[1, 2, 5][..], &[1, 7, 64, 512][..]) };
    for isa in CpuIsa::available() {
        for (i, &threads) in all_threads.iter().enumerate() {
            for (j, &chunk) in all_chunks.iter().enumerate() {
                if !emulated() && !which(i, j) {
                    continue;
                }
                // The portable path is slow: a few of its combinations say as much as all.
                let few = if emulated() { [(2, 64); 2] } else { [(2, 7), (1, 512)] };
                if isa.kind() == scalar.kind() && !few.contains(&(threads, chunk)) {
                    continue;
                }
                let got = bits(&all_logits(model, tokens, Setup { isa, threads, chunk, kv }));
                assert!(got == want, "{name}: {} {threads} threads, chunks of {chunk}", isa.kind());
            }
        }
    }
}

#[test]
fn own_models() {
    for (i, &format) in Format::ALL.iter().enumerate() {
        for (j, shape) in shapes(format).into_iter().enumerate() {
            let name = format!("{} {}", shape.arch, format.name());
            let tiny = Tiny::make(shape, 3);
            let tokens: Vec<u32> = (0..tokens(70)).map(|i| (i * 31 + 5) % tiny.vocab() as u32).collect();
            let model = Arc::new(Model::from_gguf(Gguf::from_bytes(tiny.bytes).unwrap()).unwrap());
            same_bits_in_turn(i, &name, &model, &tokens, KvType::ALL[(i + j) % 3]);
        }
    }
}

#[test]
fn shared_fixtures() {
    let Some(dir) = shared() else { return };
    let arch = "llama llama-gqa llama3-rope mistral mixtral phi3 qwen2 qwen2moe qwen3 qwen3moe gemma2 gemma3 deepseek2";
    let quant = "f32 f16 bf16 q4_0 q4_1 q5_0 q5_1 q8_0 q2_k q3_k q4_k_s q4_k_m_mix q5_k_s q6_k iq4_nl iq4_xs iq3_s tq1_0 \
                 tq2_0 moe_q4_k_m_mix mxfp4_moe";
    let arch = arch.split(' ').map(|n| ("arch", n));
    for (group, name) in arch.chain(quant.split(' ').map(|n| ("quant", n))) {
        let f = Fixture::read(&dir.join("fixtures").join(group), name);
        let mapped = Arc::new(Model::open(&f.model, &LoadOptions::default()).unwrap());
        let read = Arc::new(Model::open(&f.model, &LoadOptions { mmap: false, ..LoadOptions::default() }).unwrap());
        let tokens = &f.tokens[..f.tokens.len().min(tokens(80) as usize)];
        same_bits(name, &mapped, tokens, KvType::F16);
        let setup = Setup::new(KvType::F16);
        assert_eq!(
            bits(&all_logits(&mapped, tokens, setup)),
            bits(&all_logits(&read, tokens, setup)),
            "{name}: --no-mmap"
        );
    }
}

#[test]
fn own_architectures() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/arch");
    for entry in std::fs::read_dir(&dir).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        let Some(name) = file.strip_suffix(".gguf") else { continue };
        let f = Fixture::read(&dir, name);
        let model = Arc::new(Model::open(&f.model, &LoadOptions::default()).unwrap());
        let tokens = &f.tokens[..f.tokens.len().min(tokens(160) as usize)];
        // Five threads with a token a step are left to the shared fixtures and to formats: of so many models they take long.
        same_bits_of(name, &model, tokens, KvType::F16, |threads, chunk| threads < 2 || chunk > 0);
    }
}

/// A model is switched from its own file to the packed one while it generates: the bits stay the same, wherever in the
/// text the switch falls.
fn same_bits_when_switched(name: &str, path: &Path, tokens: &[u32]) {
    let dir = tempfile::tempdir().unwrap();
    let pack = dir.path().join("p");
    let (never, quiet) = (CancelToken::new(), |_: PackEvent| {});
    let plain = Arc::new(Model::open(path, &LoadOptions::default()).unwrap());
    match packed::write(&plain, &pack, false, &never, &quiet) {
        Ok(report) => assert!(report.written),
        Err(PackError::Nothing) => return assert_eq!(plain.packed().1, 0, "{name}"),
        Err(e) => panic!("{name}: {e}"),
    }
    let want = bits(&all_logits(&plain, tokens, Setup::new(KvType::F16)));
    let vocab = plain.config().vocab;
    for switch_at in [0, 1, tokens.len() / 2] {
        let model = Arc::new(Model::open(path, &LoadOptions::default()).unwrap());
        let team = Arc::new(Team::new(2, CpuIsa::best()).unwrap());
        let mut runner = Runner::new(model.clone(), team, &RunnerOptions::default()).unwrap();
        let mut seq = Sequence::new(&model, &SequenceOptions { ctx: None, kv: KvType::F16 }).unwrap();
        for (i, token) in tokens.iter().enumerate() {
            if i == switch_at {
                packed::attach(&model, &pack, &never).unwrap();
                let (switched, all) = model.packed();
                assert!(switched == all && all > 0);
            }
            let work = Work { seq: &mut seq, tokens: &[*token], logits: Logits::Last };
            let got = bits(runner.step(&mut [work], &mut |_, _| ControlFlow::Continue(())).unwrap());
            assert!(got == want[i * vocab..(i + 1) * vocab], "{name}: position {i}, switched at {switch_at}");
        }
    }
    let model = Arc::new(Model::open(path, &LoadOptions::default()).unwrap());
    packed::attach(&model, &pack, &never).unwrap();
    same_bits(name, &model, tokens, KvType::F16);
}

#[test]
fn packed_files() {
    let dir = tempfile::tempdir().unwrap();
    for &format in Format::ALL {
        for shape in shapes(format).into_iter().filter(|s| s.window.is_none()) {
            let (name, path) = (format!("{} {}", shape.arch, format.name()), dir.path().join("m.gguf"));
            let tiny = Tiny::make(shape, 5);
            let tokens: Vec<u32> = (0..tokens(30)).map(|i| (i * 37 + 2) % tiny.vocab() as u32).collect();
            // Another file each time: the one before may still be mapped.
            let _ = std::fs::remove_file(&path);
            std::fs::write(&path, tiny.bytes).unwrap();
            same_bits_when_switched(&name, &path, &tokens);
        }
    }
}

#[test]
fn packed_files_of_shared_fixtures() {
    let Some(dir) = shared() else { return };
    for (group, name) in [
        ("arch", "llama-gqa"),
        ("arch", "qwen2"),
        ("arch", "qwen2moe"),
        ("arch", "phi3"),
        ("arch", "deepseek2"),
        ("quant", "q4_k_m_mix"),
        ("quant", "moe_q4_k_m_mix"),
        ("quant", "q5_0"),
    ] {
        let f = Fixture::read(&dir.join("fixtures").join(group), name);
        same_bits_when_switched(name, &f.model, &f.tokens[..f.tokens.len().min(tokens(30) as usize)]);
    }
}

/// Tables that are looked up are quantized and never packed; experts' gates and ups lie in one tensor in turns.
#[test]
fn packed_files_of_quantized_architectures() {
    let (dir, team) = (tempfile::tempdir().unwrap(), Team::new(1, CpuIsa::best()).unwrap());
    for name in ["gemma4", "gemma4-dense", "gemma4-moe", "gemma3n"] {
        let f = Fixture::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("data/arch"), name);
        let plain = Arc::new(Model::open(&f.model, &LoadOptions::default()).unwrap());
        let want = all_logits(&plain, &f.tokens, Setup::new(KvType::F16));
        for (to, bar) in [(QuantType::Q8_0, 0.002), (QuantType::Q4_0, 0.1)] {
            let path = dir.path().join(format!("{name}-{to}.gguf"));
            let mut file = Vec::new();
            let options = QuantizeOptions { to, pure: false, requantize: false };
            quantize(plain.gguf(), &mut file, &options, &team, &CancelToken::new(), &mut |_| {}).unwrap();
            std::fs::write(&path, file).unwrap();
            let model = Arc::new(Model::open(&path, &LoadOptions::default()).unwrap());
            let is = |name: &str, format: &str| model.gguf().tensor(name).is_none_or(|t| t.dtype.name() == format);
            assert!(is("blk.0.attn_q.weight", to.name()) && is("blk.0.ffn_gate_up_exps.weight", to.name()));
            // As the output projection, which is tied to the embedding; rows of 256 would become Q6_K.
            assert!(is("per_layer_token_embd.weight", "Q8_0"));
            let err = nmse(&all_logits(&model, &f.tokens, Setup::new(KvType::F16)), &want);
            println!("{name} {to}: nmse {err:.2e}");
            assert!(err < bar, "{name} {to}: {err:e}");
            same_bits_when_switched(name, &path, &f.tokens[..f.tokens.len().min(tokens(30) as usize)]);
        }
    }
}

#[test]
fn sequences_in_one_step_do_not_disturb_each_other() {
    let tiny = Tiny::make(Shape::qwen2(Format::Q4K), 9);
    let vocab = tiny.vocab() as u32;
    let model = Arc::new(Model::from_gguf(Gguf::from_bytes(tiny.bytes).unwrap()).unwrap());
    let prompts: Vec<Vec<u32>> = (0..3u32).map(|s| (0..20 + 30 * s).map(|i| (i * 13 + s) % vocab).collect()).collect();
    let alone: Vec<Vec<u32>> = prompts.iter().map(|p| bits(&all_logits(&model, p, Setup::new(KvType::F16)))).collect();
    for chunk in [1, 5, 512] {
        let team = Arc::new(Team::new(2, CpuIsa::best()).unwrap());
        let mut runner = Runner::new(model.clone(), team, &RunnerOptions { chunk }).unwrap();
        let mut seqs: Vec<Sequence> =
            (0..3).map(|_| Sequence::new(&model, &SequenceOptions::default()).unwrap()).collect();
        // The prompts' heads together, then everything else token by token, side by side.
        let mut go = |seqs: &mut [Sequence], range: &dyn Fn(&[u32]) -> std::ops::Range<usize>, logits| {
            let mut works: Vec<Work<'_>> =
                seqs.iter_mut().zip(&prompts).map(|(seq, p)| Work { seq, tokens: &p[range(p)], logits }).collect();
            bits(runner.step(&mut works, &mut |_, _| ControlFlow::Continue(())).unwrap())
        };
        go(&mut seqs, &|_| 0..15, Logits::None);
        for i in 15..80 {
            let got = go(&mut seqs, &|p| i.min(p.len())..(i + 1).min(p.len()), Logits::Last);
            let want: Vec<u32> = prompts
                .iter()
                .zip(&alone)
                .filter(|(p, _)| i < p.len())
                .flat_map(|(_, a)| &a[i * vocab as usize..(i + 1) * vocab as usize])
                .copied()
                .collect();
            assert!(got == want, "chunk {chunk}, position {i}");
        }
    }
}

#[test]
fn a_failed_step_leaves_sequences_as_they_were() {
    let tiny = Tiny::make(Shape::qwen2(Format::Q8_0), 9);
    let vocab = tiny.vocab();
    let model = Arc::new(Model::from_gguf(Gguf::from_bytes(tiny.bytes).unwrap()).unwrap());
    let team = Arc::new(Team::new(2, CpuIsa::best()).unwrap());
    let mut runner = Runner::new(model.clone(), team, &RunnerOptions { chunk: 8 }).unwrap();
    let mut seq = Sequence::new(&model, &SequenceOptions { ctx: Some(40), kv: KvType::F16 }).unwrap();
    let mut run = |seq: &mut Sequence, tokens: &[u32], stop_at: usize| {
        let work = Work { seq, tokens, logits: Logits::Last };
        let mut progress = |done, _| if done >= stop_at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        runner.step(&mut [work], &mut progress).map(bits)
    };
    let tokens: Vec<u32> = (0..30).collect();
    assert!(run(&mut seq, &[vocab as u32], 99).is_err());
    assert!(run(&mut seq, &[0; 41], 99).is_err());
    assert_eq!(seq.len(), 0);
    assert!(matches!(run(&mut seq, &tokens, 16), Err(hewn_engine::EngineError::Cancelled)));
    assert_eq!(seq.tokens(), &tokens[..16]);
    let continued = run(&mut seq, &tokens[16..], 99).unwrap();
    let mut fresh = Sequence::new(&model, &SequenceOptions { ctx: None, kv: KvType::F16 }).unwrap();
    assert_eq!(continued, run(&mut fresh, &tokens, 99).unwrap());
    // Going back and on again is as if it had never happened.
    seq.truncate(11);
    run(&mut seq, &[7, 8, 9], 99).unwrap();
    seq.truncate(11);
    assert_eq!(run(&mut seq, &tokens[11..], 99).unwrap(), continued);
}

#[test]
fn the_committed_model_is_what_the_generator_makes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/data/tiny-random.gguf");
    assert_eq!(std::fs::read(path).unwrap(), Tiny::make(Shape::data(), 1).bytes, "run the example make_tiny");
}
