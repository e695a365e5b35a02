//! Sequences that are saved and come back: with the same bits, whatever the architecture keeps, and never from a damaged file.

use hewn_engine::{
    CpuIsa, EngineError, KvType, LoadOptions, Logits, Model, Runner, RunnerOptions, Sequence, SequenceOptions, Team,
    Work,
};
use hewn_tests::fixture::Fixture;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/arch")
}

struct Bed {
    model: Arc<Model>,
    runner: Runner,
    tokens: Vec<u32>,
    options: SequenceOptions,
}

impl Bed {
    fn new(name: &str, kv: KvType, team: &Arc<Team>) -> Self {
        let fixture = Fixture::read(&folder(), name);
        let model = Arc::new(Model::open(&fixture.model, &LoadOptions::default()).unwrap());
        let runner = Runner::new(model.clone(), team.clone(), &RunnerOptions { chunk: 7 }).unwrap();
        let ctx = Some(fixture.tokens.len().max(2));
        Self { model, runner, tokens: fixture.tokens, options: SequenceOptions { ctx, kv } }
    }

    fn new_seq(&self) -> Sequence {
        Sequence::new(&self.model, &self.options).unwrap()
    }

    /// Goes on by tokens `from..to`: the bits of their logits.
    fn read(&mut self, seq: &mut Sequence, from: usize, to: usize) -> Vec<u32> {
        let work = Work { seq, tokens: &self.tokens[from..to], logits: Logits::All };
        let logits = self.runner.step(&mut [work], &mut |_, _| ControlFlow::Continue(())).unwrap();
        logits.iter().map(|v| v.to_bits()).collect()
    }

    fn restore(&self, mut bytes: &[u8]) -> Result<Sequence, EngineError> {
        Sequence::restore(&self.model, &self.options, &mut bytes)
    }
}

fn save(seq: &Sequence, model: &Model) -> Result<Vec<u8>, EngineError> {
    let mut bytes = Vec::new();
    seq.save(model, &mut bytes).map(|()| bytes)
}

#[test]
fn every_architecture_goes_on_with_the_same_bits() {
    let team = Arc::new(Team::new(2, CpuIsa::best()).unwrap());
    let mut names: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .filter_map(|e| e.unwrap().file_name().to_str().unwrap().strip_suffix(".json").map(str::to_owned))
        .collect();
    names.sort();
    let (mut saved, mut refused) = (0, Vec::new());
    for (i, name) in names.iter().enumerate() {
        let mut bed = Bed::new(name, KvType::ALL[i % KvType::ALL.len()], &team);
        let n = bed.tokens.len();
        let mut seq = bed.new_seq();
        match save(&seq, &bed.model) {
            Ok(_) => saved += 1,
            Err(EngineError::Saved { .. }) => {
                refused.push(name.clone());
                continue;
            }
            Err(e) => panic!("{name}: {e}"),
        }
        let part = n * 2 / 3;
        bed.read(&mut seq, 0, part);
        let bytes = save(&seq, &bed.model).unwrap();
        let mut other = bed.restore(&bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(other.tokens(), &bed.tokens[..part]);
        assert_eq!(save(&other, &bed.model).unwrap(), bytes, "{name}");
        let (want, have) = (bed.read(&mut seq, part, n), bed.read(&mut other, part, n));
        assert!(want == have, "{name}: other logits behind a saved sequence");
        // It was marked where it came back.
        assert_eq!(other.truncate(part), part, "{name}");
        assert!(bed.read(&mut other, part, n) == want, "{name}: other logits after going back");
    }
    assert!(saved > 140, "{saved} architectures can be saved, these can not: {refused:?}");
}

#[test]
fn what_is_damaged_or_of_another_model_does_not_come_back() {
    let team = Arc::new(Team::new(1, CpuIsa::best()).unwrap());
    for (name, other) in [("mistral3", "internlm2"), ("mamba", "rwkv7"), ("olmo3", "olmo2")] {
        let mut bed = Bed::new(name, KvType::F16, &team);
        let mut seq = bed.new_seq();
        bed.read(&mut seq, 0, 9);
        let bytes = save(&seq, &bed.model).unwrap();
        let refused = |bed: &Bed, bytes: &[u8]| match bed.restore(bytes) {
            Err(EngineError::Saved { reason }) => reason,
            Err(e) => panic!("{name}: {e}"),
            Ok(_) => panic!("{name}: it came back"),
        };
        // Every byte counts.
        for i in (0..bytes.len()).step_by((bytes.len() / 300).max(1)).chain(0..60).chain(bytes.len() - 20..bytes.len())
        {
            for bit in [0, 3, 7] {
                let mut bytes = bytes.clone();
                bytes[i] ^= 1 << bit;
                refused(&bed, &bytes);
            }
            refused(&bed, &bytes[..i]);
        }
        let sum = xxhash_of(&bytes);
        assert_eq!(bytes[bytes.len() - 8..], sum.to_le_bytes());
        // Numbers that nobody would allocate by, under a sum that is right.
        for at in (16..bytes.len() - 16).step_by((bytes.len() / 400).max(1)) {
            for value in [u64::MAX, 1 << 40, 255, 1, 0] {
                let mut bytes = bytes.clone();
                bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
                let end = bytes.len() - 8;
                let sum = xxhash_of(&bytes).to_le_bytes();
                bytes[end..].copy_from_slice(&sum);
                // Other keys and values are other keys and values; nothing else comes back, and nothing panics.
                if let Ok(mut seq) = bed.restore(&bytes) {
                    let work = Work { seq: &mut seq, tokens: &bed.tokens[9..12], logits: Logits::Last };
                    let _ = bed.runner.step(&mut [work], &mut |_, _| ControlFlow::Continue(()));
                }
            }
        }
        assert!(refused(&Bed::new(other, KvType::F16, &team), &bytes).contains("another model"));
        let f32 = Bed { options: SequenceOptions { kv: KvType::F32, ..bed.options.clone() }, ..bed };
        assert!(refused(&f32, &bytes).contains("f16, not f32"));
        let short = Bed { options: SequenceOptions { ctx: Some(8), kv: KvType::F16 }, ..f32 };
        assert!(refused(&short, &bytes).contains("9 tokens, of at most 8"));
    }
}

/// The sum that belongs at the end.
fn xxhash_of(bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(&bytes[..bytes.len() - 8])
}

#[test]
fn adapters_and_rotary_positions_belong_to_the_model() {
    let team = Arc::new(Team::new(1, CpuIsa::best()).unwrap());
    let mut bed = Bed::new("seed_oss", KvType::F16, &team);
    let mut seq = bed.new_seq();
    bed.read(&mut seq, 0, 9);
    let bytes = save(&seq, &bed.model).unwrap();
    bed.restore(&bytes).unwrap();
    for name in ["seed_oss", "rope-yarn"] {
        let changed = Fixture::read(&folder().join("../changed"), name);
        let model = Model::open(&changed.model, &changed.options(true)).unwrap();
        let error = Sequence::restore(&model, &bed.options, &mut &bytes[..]).unwrap_err();
        assert!(error.to_string().contains("another model"), "{name}: {error}");
    }
}

#[test]
fn what_was_turned_in_another_way_does_not_come_back() {
    let team = Arc::new(Team::new(1, CpuIsa::best()).unwrap());
    let mut bed = Bed::new("phi3-long", KvType::F16, &team);
    let original = bed.model.config().rope.original_ctx;
    let of = |ctx: usize| SequenceOptions { ctx: Some(ctx), kv: KvType::F16 };
    assert!((2..bed.model.config().ctx).contains(&original));
    bed.options = of(original);
    let mut seq = bed.new_seq();
    bed.read(&mut seq, 0, 2);
    let bytes = save(&seq, &bed.model).unwrap();
    bed.restore(&bytes).unwrap();
    bed.options = of(original + 1);
    let error = bed.restore(&bytes).unwrap_err();
    assert!(error.to_string().contains("turned in another way"), "{error}");
}
