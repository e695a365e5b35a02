//! Adapters of low rank: against llama.cpp, against models that they were merged into, and in the numeric contract.

use hewn_engine::embed::{EmbedOptions, Embedder};
use hewn_engine::loader::{Gguf, MetaValue, TensorInfo, TensorType};
use hewn_engine::packed::{self, PackEvent};
use hewn_engine::quantize::{QuantType, QuantizeOptions, quantize};
use hewn_engine::record::MemoryRecorder;
use hewn_engine::{
    Adapter, CancelToken, CpuIsa, KvType, LoadOptions, Logits, Model, RopeOptions, Runner, RunnerOptions, Sequence,
    SequenceOptions, Team, Work,
};
use hewn_kernels::Format;
use hewn_tests::adapted::{self, Encode, arch};
use hewn_tests::altered::{fixture, with_value};
use hewn_tests::embedding::embed_fixtures;
use hewn_tests::fixture::Fixture;
use hewn_tests::tiny::{Shape, Tiny};
use hewn_tests::{Setup, all_logits, emulated, nmse};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data")
}

fn bits(v: &[f32]) -> Vec<u32> {
    v.iter().map(|x| x.to_bits()).collect()
}

fn gguf(bytes: Vec<u8>) -> Gguf {
    Gguf::from_bytes(bytes).unwrap()
}

/// The model with adapters and their scales.
fn with(model: Vec<u8>, adapters: &[(&[u8], f32)]) -> Result<Arc<Model>, String> {
    let opened = adapters.iter().map(|(file, scale)| {
        Gguf::from_bytes(file.to_vec())
            .map_err(|e| e.to_string())
            .and_then(|gguf| Adapter::from_gguf(gguf, *scale).map_err(|e| e.to_string()))
    });
    let opened = opened.collect::<Result<Vec<_>, _>>()?;
    Model::changed(gguf(model), opened, &RopeOptions::default()).map(Arc::new).map_err(|e| e.to_string())
}

fn bytes_of(name: &str) -> Vec<u8> {
    std::fs::read(data().join(format!("arch/{name}.gguf"))).unwrap()
}

#[test]
fn the_peer_computes_the_same() {
    let dir = data().join("changed");
    for name in ["seed_oss", "seed_oss-two", "bailingmoe2"] {
        let f = Fixture::read(&dir, name);
        assert!(!f.adapters.is_empty() && f.peer_nmse > 0.1, "{name}: adapters that change much");
        for mmap in [true, false] {
            let model = Arc::new(Model::open(&f.model, &f.options(mmap)).unwrap());
            let err = nmse(&f.kept(&all_logits(&model, &f.tokens, Setup::new(KvType::F32))), &f.logits);
            println!("{name}: nmse {err:.2e}");
            assert!(err <= 1e-9, "{name}: {err:e}");
        }
    }
}

/// Of every architecture: what an adapter of all matrices that may have one changes is what their sums would be. A matrix
/// whose product leaves its adapter out, or adds it at the wrong place, would show here.
#[test]
fn every_matrix_is_changed_as_if_merged() {
    let dir = data().join("arch");
    let mut names: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|e| e.unwrap().path()).collect();
    names.retain(|path| path.extension().is_some_and(|e| e == "gguf"));
    names.sort();
    let (mut all_accepted, mut all_refused) = (0, 0);
    for path in names.iter().step_by(if emulated() { 25 } else { 1 }) {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let bytes = std::fs::read(path).unwrap();
        let whole = gguf(bytes.clone());
        let f = Fixture::read(&dir, name);
        let (mut accepted, mut refused) = (Vec::new(), Vec::new());
        for t in whole.tensors().iter().filter(|t| t.dims.len() > 1) {
            let one = adapted::Adapter::of(&whole, 3, 1, |other| other.name == t.name);
            match with(bytes.clone(), &[(&one.file(None), 1.0)]) {
                Ok(_) => accepted.push(t.name.clone()),
                Err(e) => {
                    assert!(e.contains(&t.name), "{name}: {e}");
                    refused.push(t.name.clone());
                }
            }
        }
        (all_accepted, all_refused) = (all_accepted + accepted.len(), all_refused + refused.len());
        let mixes = name.contains("rwkv") || name == "deepseek4";
        assert!(mixes || accepted.iter().any(|t| t.starts_with("blk.0.")), "{name}: {refused:?}");
        let adapter = adapted::Adapter::of(&whole, 3, 7, |t| accepted.contains(&t.name));
        let merged = Arc::new(Model::from_gguf(gguf(adapter.merged(&whole, 0.25))).unwrap());
        let model = with(bytes.clone(), &[(&adapter.file(None), 0.25)]).unwrap();
        let plain = with(bytes, &[]).unwrap();
        let tokens = &f.tokens[..f.tokens.len().min(if emulated() { 12 } else { 40 })];
        let [got, want, before] = [model, merged, plain].map(|m| all_logits(&m, tokens, Setup::new(KvType::F32)));
        let (err, moved) = (nmse(&got, &want), nmse(&before, &want));
        println!("{name}: nmse {err:.2e}, moved {moved:.2e}, {} matrices, without {refused:?}", accepted.len());
        assert!(err <= 1e-9, "{name}: {err:e}");
        assert!(moved > 1e-6 && moved > 1e4 * err, "{name}: hardly changed");
    }
    println!("{all_accepted} accepted, {all_refused} refused");
    assert!(all_accepted > 4 * all_refused);
}

/// The same of models that read texts as a whole.
#[test]
fn vectors_are_changed_as_if_merged() {
    for f in embed_fixtures().iter().step_by(if emulated() { 8 } else { 1 }) {
        let bytes = std::fs::read(&f.model).unwrap();
        let whole = gguf(bytes.clone());
        let fits = |t: &TensorInfo| {
            let one = adapted::Adapter::of(&whole, 3, 1, |other| other.name == t.name);
            with(bytes.clone(), &[(&one.file(None), 1.0)]).is_ok()
        };
        let accepted: Vec<String> =
            whole.tensors().iter().filter(|t| t.dims.len() > 1 && fits(t)).map(|t| t.name.clone()).collect();
        assert!(accepted.iter().any(|t| t.starts_with("blk.0.attn")), "{}", f.name);
        let adapter = adapted::Adapter::of(&whole, 3, 7, |t| accepted.contains(&t.name));
        let vectors = |model: Arc<Model>| {
            let team = Arc::new(Team::new(2, CpuIsa::best()).unwrap());
            let runner = Runner::new(model, team, &RunnerOptions::default()).unwrap();
            let options = EmbedOptions { kv: KvType::F32, ..EmbedOptions::default() };
            let mut embedder = Embedder::new(runner, &options).unwrap();
            let all = embedder.embed_tokens(&f.texts, &mut |_, _| ControlFlow::Continue(())).unwrap();
            all.iter().flat_map(|v| v.values.clone()).collect::<Vec<f32>>()
        };
        let merged = vectors(Arc::new(Model::from_gguf(gguf(adapter.merged(&whole, 0.25))).unwrap()));
        let got = vectors(with(bytes.clone(), &[(&adapter.file(None), 0.25)]).unwrap());
        let (err, moved) = (nmse(&got, &merged), nmse(&vectors(with(bytes, &[]).unwrap()), &merged));
        println!("{}: nmse {err:.2e}, moved {moved:.2e}, {} matrices", f.name, accepted.len());
        assert!(err <= 1e-9 && moved > 1e-6 && moved > 1e4 * err, "{}: {err:e}, moved {moved:e}", f.name);
    }
}

/// A file of a made model, and adapters of all that may have one in it, of blocks as well.
fn made(shape: Shape) -> (Vec<u8>, [Vec<u8>; 2], Vec<u32>) {
    let tiny = Tiny::make(shape, 3);
    let whole = gguf(tiny.bytes.clone());
    let tokens = (0..if emulated() { 12 } else { 60 }).map(|i| (i * 31 + 5) % tiny.vocab() as u32).collect();
    let adapters = [(64, 1), (5, 2)].map(|(rank, seed)| {
        adapted::Adapter::of(&whole, rank, seed, |t| t.name.starts_with("blk.") || t.name == "output.weight").file(None)
    });
    (tiny.bytes, adapters, tokens)
}

/// Two adapters at once, on every instruction set, with threads, chunks and neighbours in a step.
#[test]
fn the_same_bits_everywhere() {
    for shape in [
        Shape::qwen2(Format::Q4_0),
        Shape::llama(Format::F16),
        Shape::qwen3moe(Format::Q6K),
        Shape::qwen3moe(Format::F32),
    ] {
        let name = format!("{} {}", shape.arch, shape.format.name());
        let (file, [a, b], tokens) = made(shape);
        let model = with(file, &[(&a, 0.5), (&b, -1.25)]).unwrap();
        let scalar = CpuIsa::available()[0];
        let run = |isa, threads, chunk| {
            let setup = Setup { isa, threads, chunk, kv: KvType::F16 };
            bits(&all_logits(&model, &tokens, setup))
        };
        let want = run(scalar, 1, 1);
        for isa in CpuIsa::available() {
            for (threads, chunk) in [(1, 512), (2, 7), (3, 1), (2, 33)] {
                assert!(run(isa, threads, chunk) == want, "{name}: {} {threads} threads, {chunk} a step", isa.kind());
            }
        }
        // Two texts in one step.
        let team = Arc::new(Team::new(2, CpuIsa::best()).unwrap());
        let mut runner = Runner::new(model.clone(), team, &RunnerOptions { chunk: 16 }).unwrap();
        let [mut one, mut two] = [(); 2].map(|()| Sequence::new(&model, &SequenceOptions::default()).unwrap());
        let works = [(&mut two, &tokens[3..]), (&mut one, &tokens[..])];
        let mut works = works.map(|(seq, tokens)| Work { seq, tokens, logits: Logits::All });
        let logits = runner.step(&mut works, &mut |_, _| ControlFlow::Continue(())).unwrap();
        assert!(bits(&logits[logits.len() - want.len()..]) == want, "{name}: two texts in a step");
    }
}

/// The packed file is the model's own: adapters neither change it nor need another.
#[test]
fn the_same_bits_from_a_packed_file() {
    let dir = tempfile::tempdir().unwrap();
    let (file, [a, _], tokens) = made(Shape::qwen2(Format::Q4K));
    let (path, pack) = (dir.path().join("m.gguf"), dir.path().join("p"));
    std::fs::write(&path, &file).unwrap();
    std::fs::write(dir.path().join("a.gguf"), &a).unwrap();
    let adapters = vec![hewn_engine::AdapterFile { path: dir.path().join("a.gguf"), scale: 1.0 }];
    let options = LoadOptions { adapters, ..LoadOptions::default() };
    let (never, quiet) = (CancelToken::new(), |_: PackEvent| {});
    assert!(
        packed::write(&Model::open(&path, &LoadOptions::default()).unwrap(), &pack, false, &never, &quiet)
            .unwrap()
            .written
    );
    let model = Arc::new(Model::open(&path, &options).unwrap());
    let want = bits(&all_logits(&model, &tokens, Setup::new(KvType::F16)));
    packed::attach(&model, &pack, &never).unwrap();
    assert!(model.packed().0 > 0);
    for chunk in [1, 512] {
        let setup = Setup { chunk, ..Setup::new(KvType::F16) };
        assert!(bits(&all_logits(&model, &tokens, setup)) == want, "{chunk} a step");
    }
}

#[test]
fn nothing_of_an_adapter_is_no_adapter() {
    let (file, [a, b], tokens) = made(Shape::qwen2(Format::Q4_0));
    let run = |adapters: &[(&[u8], f32)]| {
        let model = with(file.clone(), adapters).unwrap();
        let (memory, plain) =
            (model.memory(64, KvType::F16, 8), with(file.clone(), &[]).unwrap().memory(64, KvType::F16, 8));
        assert_eq!(memory.scratch > plain.scratch, adapters.iter().any(|a| a.1 != 0.0));
        assert_eq!(memory.adapters > 0, !adapters.is_empty());
        bits(&all_logits(&model, &tokens, Setup::new(KvType::F16)))
    };
    let plain = run(&[]);
    assert!(run(&[(&a, 0.0)]) == plain && run(&[(&a, 0.0), (&b, 0.0)]) == plain);
    let one = run(&[(&b, 1.0)]);
    assert!(one != plain && run(&[(&a, 0.0), (&b, 1.0)]) == one);
}

/// An adapter in blocks computes as one of f32 with the same numbers.
#[test]
fn adapters_in_other_formats() {
    let tiny = Tiny::make(Shape::qwen3moe(Format::Q4_0), 3);
    let whole = gguf(tiny.bytes.clone());
    let tokens: Vec<u32> = (0..20).map(|i| (i * 31 + 5) % tiny.vocab() as u32).collect();
    let mut adapter = adapted::Adapter::of(&whole, 32, 1, |t| t.name.starts_with("blk."));
    // Numbers that blocks of Q8_0 hold exactly: a scale of 1/64, and one of 127 of it in each.
    for (_, _, numbers) in &mut adapter.tensors {
        numbers.iter_mut().for_each(|v| *v = (*v * 500.0).round() / 64.0);
        numbers.iter_mut().step_by(32).for_each(|v| *v = 127.0 / 64.0);
    }
    let blocks = |numbers: &[f32]| {
        let block = |block: &[f32]| {
            let scale = half::f16::from_f32(1.0 / 64.0).to_le_bytes();
            scale.into_iter().chain(block.iter().map(|v| (*v * 64.0) as i8 as u8)).collect::<Vec<u8>>()
        };
        numbers.chunks(32).flat_map(block).collect::<Vec<u8>>()
    };
    let halves = |numbers: &[f32]| numbers.iter().flat_map(|v| half::f16::from_f32(*v).to_le_bytes()).collect();
    let run = |file: Vec<u8>| {
        let model = with(tiny.bytes.clone(), &[(&file, 0.01)]).unwrap();
        bits(&all_logits(&model, &tokens, Setup::new(KvType::F16)))
    };
    let want = run(adapter.file(None));
    assert!(run(adapter.file(TensorType::from_id(8).map(|kind| (kind, &blocks as Encode<'_>)))) == want);
    assert!(run(adapter.file(TensorType::from_id(1).map(|kind| (kind, &halves as Encode<'_>)))) == want);
}

#[test]
fn adapters_that_do_not_fit_are_refused() {
    let base = bytes_of("seed_oss");
    let whole = gguf(base.clone());
    let some = || {
        let two = |t: &TensorInfo| t.name == "blk.0.attn_q.weight" || t.name == "output.weight";
        let mut adapter = adapted::Adapter::of(&whole, 4, 1, two);
        adapter.tensors.sort_by(|a, b| a.0.cmp(&b.0));
        adapter
    };
    let refused = |adapter: adapted::Adapter, said: &[&str]| {
        let e = with(base.clone(), &[(&adapter.file(None), 1.0)]).map(|_| ()).unwrap_err();
        assert!(said.iter().all(|s| e.contains(s)), "{said:?}: {e}");
    };
    with(base.clone(), &[(&some().file(None), 1.0)]).unwrap();
    type Change = fn(&mut adapted::Adapter);
    let cases: [(Change, &[&str]); 12] = [
        (|a| a.arch = "llama".into(), &["llama", "seed_oss"]),
        (|a| a.alpha = Some(f32::NAN), &["alpha"]),
        (|a| a.alpha = Some(f32::INFINITY), &["alpha"]),
        (|a| a.tensors.clear(), &["no tensors"]),
        (|a| drop(a.tensors.remove(0)), &["lora_b", "is not"]),
        (|a| drop(a.tensors.remove(3)), &["output.weight.lora_b", "is not"]),
        (|a| a.tensors[0].1 = vec![16, 8], &["blk.0.attn_q.weight.lora_a", "32"]),
        (|a| a.tensors[1].1 = vec![2, 64], &["blk.0.attn_q.weight.lora"]),
        (|a| a.tensors[1].1 = vec![128], &["blk.0.attn_q.weight.lora"]),
        (|a| a.tensors.push(("blk.0.attn_norm.weight".into(), vec![32], vec![1.0; 32])), &["`blk.0.attn_norm.weight`"]),
        (
            |a| a.tensors.iter_mut().for_each(|t| t.0 = t.0.replace("attn_q", "attn_x")),
            &["blk.0.attn_x.weight", "another model"],
        ),
        (|a| a.tensors.iter_mut().for_each(|t| t.0 = t.0.replace("blk.0", "blk.9")), &["blk.9.attn_q.weight"]),
    ];
    for (change, said) in cases {
        let mut adapter = some();
        change(&mut adapter);
        refused(adapter, said);
    }
    // Norms, which are no matrices.
    let mut norm = some();
    norm.tensors.iter_mut().take(2).for_each(|t| t.0 = t.0.replace("attn_q", "attn_norm"));
    refused(norm, &["blk.0.attn_norm.weight", "not supported"]);
    // Scales that nothing could come of.
    let file = some().file(None);
    for scale in [f32::NAN, f32::INFINITY, f32::MAX] {
        let e = with(base.clone(), &[(&file, scale)]).map(|_| ()).unwrap_err();
        assert!(e.contains("scale"), "{scale}: {e}");
    }
    // Another kind of adapter, one that tokens switch on, a model in its place.
    let changed = |key: &str, value| with_value(&gguf(file.clone()), key, value);
    let tokens = MetaValue::Array(vec![MetaValue::U32(1)]);
    for (key, value) in [
        ("general.type", None),
        ("general.type", Some(MetaValue::U32(1))),
        ("adapter.type", Some(MetaValue::Str("control_vector".into()))),
        ("adapter.lora.alpha", Some(MetaValue::Str("8".into()))),
        ("adapter.alora.invocation_tokens", Some(tokens)),
    ] {
        let e = with(base.clone(), &[(&changed(key, value), 1.0)]).map(|_| ()).unwrap_err();
        assert!(e.contains(key), "{key}: {e}");
    }
    assert!(with(base.clone(), &[(&base, 1.0)]).unwrap_err().contains("holds no adapter"));
    // An adapter as a model.
    let e = Model::from_gguf(gguf(file.clone())).unwrap_err().to_string();
    assert!(e.contains("adapter for `seed_oss` models"), "{e}");
    // A model whose output is its embedding.
    let tied = gguf(bytes_of("gemma"));
    let e = with(
        bytes_of("gemma"),
        &[(&adapted::Adapter::of(&tied, 2, 1, |t| t.name == "token_embd.weight").file(None), 1.0)],
    );
    assert!(e.unwrap_err().contains("the model's output is the same matrix"));
    assert_eq!(arch(&tied), "gemma");
}

/// Whatever is wrong with a byte of the file, there is an error or numbers, and no panic.
#[test]
fn damaged_adapters() {
    let base = bytes_of("seed_oss");
    let whole = fixture("seed_oss");
    let file =
        adapted::Adapter::of(&whole, 2, 1, |t| t.name.contains("attn_q") || t.name.contains("token_embd")).file(None);
    for end in (0..file.len()).step_by(if emulated() { 997 } else { 97 }) {
        assert!(with(base.clone(), &[(&file[..end], 1.0)]).is_err(), "cut at {end}");
    }
    let head = 700.min(file.len());
    for i in (0..head).step_by(if emulated() { 31 } else { 1 }) {
        for flip in [0xff, 0x80, 0x01] {
            let mut bad = file.clone();
            bad[i] ^= flip;
            let _ = with(base.clone(), &[(&bad, 1.0)]);
        }
    }
    // Numbers that are none: an error of the step.
    let mut adapter = adapted::Adapter::of(&whole, 2, 1, |t| t.name.contains("attn_q"));
    adapter.tensors[0].2[5] = f32::NAN;
    let model = with(base, &[(&adapter.file(None), 1.0)]).unwrap();
    let team = Arc::new(Team::new(1, CpuIsa::best()).unwrap());
    let mut runner = Runner::new(model.clone(), team, &RunnerOptions::default()).unwrap();
    let mut seq = Sequence::new(&model, &SequenceOptions::default()).unwrap();
    let work = Work { seq: &mut seq, tokens: &[1, 2], logits: Logits::Last };
    assert!(runner.step(&mut [work], &mut |_, _| ControlFlow::Continue(())).is_err());
}

/// A model that is quantized afterwards, as people have them.
#[test]
fn beside_a_quantized_model() {
    let (mut exact, team) = (Vec::new(), Team::new(1, CpuIsa::best()).unwrap());
    let options = QuantizeOptions { to: QuantType::from_name("q8_0").unwrap(), pure: true, requantize: true };
    quantize(&fixture("bailingmoe2"), &mut exact, &options, &team, &CancelToken::new(), &mut |_| {}).unwrap();
    let f = Fixture::read(&data().join("changed"), "bailingmoe2");
    let adapter = std::fs::read(&f.adapters[0].path).unwrap();
    let model = with(exact, &[(&adapter, f.adapters[0].scale)]).unwrap();
    let err = nmse(&f.kept(&all_logits(&model, &f.tokens, Setup::new(KvType::F32))), &f.logits);
    assert!(err < 0.02, "{err:e}");
}

/// A profile counts an adapter's bytes where its product is, and once.
#[test]
fn adapters_cost_what_they_are() {
    for name in ["seed_oss", "bailingmoe2"] {
        let whole = fixture(name);
        let wanted = |t: &TensorInfo| t.name == "output.weight" || t.name.contains("attn") || t.name.contains("ffn");
        let wanted = |t: &TensorInfo| wanted(t) && !t.name.starts_with("blk.3") && !t.name.contains("exps");
        let adapter = adapted::Adapter::of(&whole, 3, 1, wanted).file(None);
        let read = |adapters: &[(&[u8], f32)]| {
            let model = with(bytes_of(name), adapters).unwrap();
            let team = Arc::new(Team::new(1, CpuIsa::best()).unwrap());
            let mut runner = Runner::new(model.clone(), team, &RunnerOptions::default()).unwrap();
            let recorder = Arc::new(MemoryRecorder::new(1, 10_000));
            runner.record(Some(recorder.clone()));
            let mut seq = Sequence::new(&model, &SequenceOptions::default()).unwrap();
            let work = Work { seq: &mut seq, tokens: &[1], logits: Logits::Last };
            runner.step(&mut [work], &mut |_, _| ControlFlow::Continue(())).unwrap();
            recorder.take().ops.iter().map(|op| op.cost.weight_bytes).sum::<u64>()
        };
        let bytes: u64 = gguf(adapter.clone()).tensors().iter().map(|t| t.bytes).sum();
        assert_eq!(read(&[(&adapter, 1.0)]), read(&[]) + bytes, "{name}");
    }
}
