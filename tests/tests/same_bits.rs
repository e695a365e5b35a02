//! The numeric contract across architectures: logits have the bits that an x86-64 machine gave them.
//!
//! `data/logits.tsv` holds a hash for each model: written by `HEWN_WRITE_LOGITS=1 cargo test -p hewn-tests --test
//! same_bits` on x86-64, checked by every run everywhere. A change of the contract changes the file, and nothing else may.

use hewn_engine::embed::{EmbedOptions, Embedder};
use hewn_engine::loader::Gguf;
use hewn_engine::{KvType, LoadOptions, Model, Runner, RunnerOptions, Team};
use hewn_kernels::Format;
use hewn_tests::embedding::embed_fixtures;
use hewn_tests::fixture::Fixture;
use hewn_tests::tiny::{Shape, Tiny};
use hewn_tests::{Setup, all_logits, shared};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data")
}

/// Names of the fixtures in a folder.
fn models(dir: &Path) -> Vec<String> {
    let files = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = files.filter_map(|f| f.strip_suffix(".json").map(str::to_owned)).collect();
    names.sort();
    names
}

const START: u64 = 0xcbf2_9ce4_8422_2325;

fn add(hash: &mut u64, values: &[f32]) {
    for byte in values.iter().flat_map(|v| v.to_bits().to_le_bytes()) {
        *hash = (*hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    }
}

/// Models that are run with a cache in blocks, too: what is particular about their attention differs.
const WITH_BLOCKS: [&str; 8] =
    ["deepseek2-whole", "deepseek4", "gpt-oss", "gemma3n", "llama4", "minimax-m3", "bloom", "minicpm3"];

/// FNV-1a over the bits of the logits of a prefill of 33 tokens and the step after it, with each of these kinds of cache.
fn hash(model: &Arc<Model>, tokens: &[u32], kinds: &[KvType]) -> String {
    let mut hash = START;
    for &kv in kinds {
        let logits = all_logits(model, &tokens[..tokens.len().min(34)], Setup { chunk: 33, ..Setup::new(kv) });
        add(&mut hash, &logits);
    }
    format!("{hash:016x}")
}

/// The same of the vectors of texts.
fn hash_vectors(model: &Arc<Model>, texts: &[Vec<u32>]) -> String {
    let mut hash = START;
    for kv in [KvType::F16, KvType::F32] {
        let setup = Setup::new(kv);
        let team = Arc::new(Team::new(setup.threads, setup.isa).unwrap());
        let runner = Runner::new(model.clone(), team, &RunnerOptions::default()).unwrap();
        let mut embedder = Embedder::new(runner, &EmbedOptions { kv, ..EmbedOptions::default() }).unwrap();
        let vectors = embedder.embed_tokens(texts, &mut |_, _| ControlFlow::Continue(())).unwrap();
        vectors.iter().for_each(|v| add(&mut hash, &v.values));
    }
    format!("{hash:016x}")
}

fn fixtures(all: &mut BTreeMap<String, String>, dir: &Path, prefix: &str) {
    for name in models(dir) {
        let f = Fixture::read(dir, &name);
        let model = Arc::new(Model::open(&f.model, &f.options(true)).unwrap());
        all.insert(format!("{prefix}/{name}"), hash(&model, &f.tokens, &[KvType::F16, KvType::F32]));
        if WITH_BLOCKS.contains(&name.as_str()) {
            all.insert(format!("{prefix}/{name}-q8_0"), hash(&model, &f.tokens, &[KvType::Q8_0]));
        }
    }
}

/// Models of this repository: every architecture in `data/arch`, models that adapters or options change, every format and layout of tensors in generated ones.
fn own() -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    fixtures(&mut all, &data().join("arch"), "arch");
    fixtures(&mut all, &data().join("changed"), "changed");
    for f in embed_fixtures() {
        let model = Arc::new(Model::open(&f.model, &LoadOptions::default()).unwrap());
        all.insert(format!("embed/{}", f.name), hash_vectors(&model, &f.texts));
    }
    for &format in Format::ALL {
        for shape in [Shape::qwen2(format), Shape::llama(format), Shape::windowed(format), Shape::qwen3moe(format)] {
            let kind = if shape.window.is_some() { "windowed" } else { shape.arch };
            let name = format!("tiny/{kind}-{}", format.name());
            let tiny = Tiny::make(shape, 11);
            let tokens: Vec<u32> = (0..34).map(|i| (i * 29 + 7) % tiny.vocab() as u32).collect();
            let model = Arc::new(Model::from_gguf(Gguf::from_bytes(tiny.bytes).unwrap()).unwrap());
            if format == Format::F16 {
                all.insert(format!("{name}-q8_0"), hash(&model, &tokens, &[KvType::Q8_0]));
            }
            assert!(all.insert(name, hash(&model, &tokens, &[KvType::F16, KvType::F32])).is_none());
        }
    }
    all
}

#[test]
fn logits_have_the_bits_of_x86_64() {
    let file = data().join("logits.tsv");
    let mut got = own();
    let shared = shared();
    for dir in shared.iter().flat_map(|s| ["arch", "quant"].map(|d| s.join("fixtures").join(d))) {
        let prefix = format!("shared-{}", dir.file_name().unwrap().to_str().unwrap());
        fixtures(&mut got, &dir, &prefix);
    }
    if std::env::var_os("HEWN_WRITE_LOGITS").is_some() {
        assert!(cfg!(target_arch = "x86_64") && shared.is_some(), "written on x86-64, beside the shared fixtures");
        let lines: String = got.iter().map(|(name, hash)| format!("{name}\t{hash}\n")).collect();
        std::fs::write(&file, lines).unwrap();
    }
    let text = std::fs::read_to_string(file).unwrap();
    let want: BTreeMap<String, String> = text
        .lines()
        .map(|l| l.split_once('\t').expect("name, tab, hash"))
        .filter(|(name, _)| shared.is_some() || !name.starts_with("shared-"))
        .map(|(name, hash)| (name.to_owned(), hash.to_owned()))
        .collect();
    let differ: Vec<&String> = want.keys().chain(got.keys()).filter(|name| want.get(*name) != got.get(*name)).collect();
    assert!(want.len() > 100 && differ.is_empty(), "of {} models these differ: {differ:?}", want.len());
}
