//! Files that must be refused, each with the error that says why; and thousands of mutations that must never panic,
//! hang, or take memory beyond the file's size. `cargo test --test malformed -- --nocapture` lists the errors.

use hewn_engine::{CpuIsa, EngineError, Logits, Model, Runner, RunnerOptions, Sequence, SequenceOptions, Team, Work};
use hewn_kernels::Format;
use hewn_loader::{Gguf, LoadError, OpenOptions, Value};
use hewn_tests::tiny::{Shape, Tiny};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use std::fmt::Write as _;
#[cfg(unix)]
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::sync::Arc;

/// A GGUF file laid out by hand, so that every field can be wrong.
#[derive(Clone)]
struct Raw {
    magic: [u8; 4],
    version: u32,
    counts: Option<[u64; 2]>,
    pairs: Vec<Vec<u8>>,
    tensors: Vec<Vec<u8>>,
    data: usize,
}

fn string(s: &[u8]) -> Vec<u8> {
    [&(s.len() as u64).to_le_bytes()[..], s].concat()
}

fn pair(key: &[u8], kind: u32, value: &[u8]) -> Vec<u8> {
    [&string(key)[..], &kind.to_le_bytes(), value].concat()
}

fn tensor(name: &str, dims: &[u64], kind: u32, offset: u64) -> Vec<u8> {
    let mut t = string(name.as_bytes());
    t.extend((dims.len() as u32).to_le_bytes());
    dims.iter().for_each(|d| t.extend(d.to_le_bytes()));
    t.extend(kind.to_le_bytes());
    t.extend(offset.to_le_bytes());
    t
}

fn array(item: u32, len: u64, body: &[u8]) -> Vec<u8> {
    [&item.to_le_bytes()[..], &len.to_le_bytes(), body].concat()
}

impl Raw {
    /// A file that is right: two pairs, two tensors (`a`: 8 x F32, `b`: Q8_0 of 32 x 2).
    fn good() -> Self {
        Self {
            magic: *b"GGUF",
            version: 3,
            counts: None,
            pairs: vec![
                pair(b"general.architecture", 8, &string(b"llama")),
                pair(b"list", 9, &array(8, 2, &[string(b"x"), string(b"yz")].concat())),
            ],
            tensors: vec![tensor("a", &[8], 0, 0), tensor("b", &[32, 2], 8, 32)],
            data: 32 + 68,
        }
    }

    fn with_pair(mut self, key: &str, kind: u32, value: &[u8]) -> Self {
        self.pairs.push(pair(key.as_bytes(), kind, value));
        self
    }

    fn with_tensor(mut self, t: Vec<u8>) -> Self {
        self.tensors[1] = t;
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let [t, p] = self.counts.unwrap_or([self.tensors.len() as u64, self.pairs.len() as u64]);
        let mut out = [&self.magic[..], &self.version.to_le_bytes(), &t.to_le_bytes(), &p.to_le_bytes()].concat();
        out.extend(self.pairs.concat());
        out.extend(self.tensors.concat());
        out.resize(out.len().next_multiple_of(32) + self.data, 7);
        out
    }
}

type Check = fn(&LoadError) -> bool;

macro_rules! is {
    ($p:pat) => {
        (|e| matches!(e, $p)) as Check
    };
}

/// Name, bytes, the error it must give.
fn classes() -> Vec<(&'static str, Vec<u8>, Check)> {
    use LoadError as E;
    let good = Raw::good;
    let raw = |f: fn(&mut Raw)| {
        let mut r = good();
        f(&mut r);
        r.bytes()
    };
    let nested = |depth| (0..depth).fold(array(0, 0, &[]), |inner, _| array(9, 1, &inner));
    let cut = |n: usize| good().bytes()[..n].to_vec();
    vec![
        ("an empty file", vec![], is!(E::Magic { .. })),
        ("two bytes", b"GG".to_vec(), is!(E::Magic { .. })),
        ("another magic", raw(|r| r.magic = *b"GGML"), is!(E::Magic { .. })),
        ("no version", b"GGUF\x03".to_vec(), is!(E::Truncated { .. })),
        ("version 0", raw(|r| r.version = 0), is!(E::Version(0))),
        ("version 4", raw(|r| r.version = 4), is!(E::Version(4))),
        ("big-endian", raw(|r| r.version = 3u32.swap_bytes()), is!(E::BigEndian(3))),
        ("2^63 tensors", raw(|r| r.counts = Some([1 << 63, 2])), is!(E::Count { .. })),
        ("more pairs than bytes", raw(|r| r.counts = Some([2, 1 << 40])), is!(E::Count { .. })),
        (
            "one pair too many",
            raw(|r| r.counts = Some([2, 3])),
            is!(E::Truncated { .. } | E::ValueType { .. } | E::Count { .. } | E::Name { .. }),
        ),
        ("cut in the header", cut(20), is!(E::Truncated { .. } | E::Count { .. })),
        ("cut in a key", cut(30), is!(E::Count { .. } | E::Truncated { .. })),
        ("cut in the directory", cut(150), is!(E::Truncated { .. } | E::Count { .. })),
        ("cut in the data", good().bytes()[..good().bytes().len() - 1].to_vec(), is!(E::OutOfFile { .. })),
        (
            "a key longer than the file",
            {
                let mut b = good().bytes();
                b[24..32].copy_from_slice(&u64::MAX.to_le_bytes());
                b
            },
            is!(E::Count { .. }),
        ),
        ("an empty key", raw(|r| r.pairs.push(pair(b"", 4, &[0; 4]))), is!(E::Name { .. })),
        ("a key that is not UTF-8", raw(|r| r.pairs.push(pair(b"\xff\xfe", 4, &[0; 4]))), is!(E::Name { .. })),
        ("a key twice", good().with_pair("list", 4, &[0; 4]).bytes(), is!(E::Duplicate { what: "key", .. })),
        ("a value type 13", good().with_pair("k", 13, &[0; 8]).bytes(), is!(E::ValueType { id: 13, .. })),
        ("an array of type 99", good().with_pair("k", 9, &array(99, 1, &[0; 8])).bytes(), is!(E::ValueType { .. })),
        ("a boolean of 2", good().with_pair("k", 7, &[2]).bytes(), is!(E::Bool { value: 2, .. })),
        ("an array with a boolean of 9", good().with_pair("k", 9, &array(7, 2, &[1, 9])).bytes(), is!(E::Bool { .. })),
        (
            "an array longer than the file",
            good().with_pair("k", 9, &array(0, 1 << 60, &[])).bytes(),
            is!(E::Count { .. }),
        ),
        (
            "an array whose size overflows",
            good().with_pair("k", 9, &array(10, u64::MAX, &[])).bytes(),
            is!(E::Count { .. }),
        ),
        (
            "strings longer than the file",
            good().with_pair("k", 9, &array(8, 1, &[0xff; 8])).bytes(),
            is!(E::Count { .. }),
        ),
        ("arrays nested 200 deep", good().with_pair("k", 9, &nested(200)).bytes(), is!(E::Nesting { .. })),
        (
            "an alignment of 0",
            good().with_pair("general.alignment", 4, &[0; 4]).bytes(),
            is!(E::Alignment { value: 0, .. }),
        ),
        (
            "an alignment of 48",
            good().with_pair("general.alignment", 4, &48u32.to_le_bytes()).bytes(),
            is!(E::Alignment { value: 48, .. }),
        ),
        (
            "an alignment of 4",
            good().with_pair("general.alignment", 4, &4u32.to_le_bytes()).bytes(),
            is!(E::Alignment { value: 4, .. }),
        ),
        (
            "an alignment of 128 KiB",
            good().with_pair("general.alignment", 4, &131_072u32.to_le_bytes()).bytes(),
            is!(E::Alignment { value: 131_072, .. }),
        ),
        (
            "an alignment that is a string",
            good().with_pair("general.alignment", 8, &string(b"32")).bytes(),
            is!(E::WrongType { .. }),
        ),
        (
            "a negative alignment",
            good().with_pair("general.alignment", 5, &(-32i32).to_le_bytes()).bytes(),
            is!(E::WrongType { .. }),
        ),
        ("a tensor without a name", good().with_tensor(tensor("", &[8], 0, 32)).bytes(), is!(E::Name { .. })),
        (
            "a tensor twice",
            good().with_tensor(tensor("a", &[8], 0, 32)).bytes(),
            is!(E::Duplicate { what: "tensor", .. }),
        ),
        ("no dimensions", good().with_tensor(tensor("b", &[], 0, 32)).bytes(), is!(E::Dims { .. })),
        ("five dimensions", good().with_tensor(tensor("b", &[1; 5], 0, 32)).bytes(), is!(E::Dims { .. })),
        ("a dimension of 0", good().with_tensor(tensor("b", &[8, 0], 0, 32)).bytes(), is!(E::Dims { .. })),
        (
            "a product that overflows",
            good().with_tensor(tensor("b", &[1 << 33, 1 << 33], 0, 32)).bytes(),
            is!(E::Dims { .. }),
        ),
        ("bytes that overflow", good().with_tensor(tensor("b", &[1 << 62], 0, 32)).bytes(), is!(E::Dims { .. })),
        ("rows of half a block", good().with_tensor(tensor("b", &[16, 4], 8, 32)).bytes(), is!(E::RowLength { .. })),
        ("type 4, removed", good().with_tensor(tensor("b", &[32], 4, 32)).bytes(), is!(E::TensorType { id: 4, .. })),
        ("type 77, unknown", good().with_tensor(tensor("b", &[32], 77, 32)).bytes(), is!(E::TensorType { id: 77, .. })),
        (
            "an offset off the alignment",
            good().with_tensor(tensor("b", &[8], 0, 33)).bytes(),
            is!(E::Misaligned { .. }),
        ),
        (
            "an offset behind the file",
            good().with_tensor(tensor("b", &[8], 0, 1 << 40)).bytes(),
            is!(E::OutOfFile { .. }),
        ),
        (
            "an offset near 2^64",
            good().with_tensor(tensor("b", &[8], 0, u64::MAX - 31)).bytes(),
            is!(E::OutOfFile { .. }),
        ),
        (
            "a tensor larger than the file",
            good().with_tensor(tensor("b", &[1 << 40], 0, 32)).bytes(),
            is!(E::OutOfFile { .. }),
        ),
        ("tensors that overlap", good().with_tensor(tensor("b", &[8], 0, 0)).bytes(), is!(E::Overlap { .. })),
    ]
}

#[test]
fn every_class_is_refused_with_its_error() {
    Gguf::from_bytes(Raw::good().bytes()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut table = String::new();
    for (name, bytes, check) in classes() {
        let err = Gguf::from_bytes(bytes.clone()).expect_err(name);
        assert!(check(&err), "{name}: {err:?}");
        writeln!(table, "{name:34} {err}").unwrap();
        let path = dir.path().join("file.gguf");
        std::fs::write(&path, &bytes).unwrap();
        for mmap in [true, false] {
            let again = Gguf::open(&path, &OpenOptions { mmap }).expect_err(name);
            assert_eq!(again.to_string(), err.to_string(), "{name}, mmap {mmap}");
        }
    }
    for (name, path) in [("a folder", dir.path().to_owned()), ("a missing file", dir.path().join("nothing"))] {
        for mmap in [true, false] {
            let err = Gguf::open(&path, &OpenOptions { mmap }).expect_err(name);
            assert!(matches!(err, LoadError::Io { .. }), "{name}: {err:?}");
        }
        let err = Gguf::open(&path, &OpenOptions::default()).unwrap_err().to_string();
        writeln!(table, "{name:34} {}", err.replace(&dir.path().display().to_string(), "DIR")).unwrap();
    }
    println!("{table}");
}

/// What lies at a path but is not a file: reading a device would take memory until there is none, opening a pipe would
/// wait for its other end.
#[cfg(unix)]
#[test]
fn devices_and_pipes_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().is_ok_and(|s| s.success());
    let pipe = if made { Some(pipe) } else { None };
    if pipe.is_none() {
        eprintln!("pipe not tested: no mkfifo here");
    }
    for path in pipe.into_iter().chain(["/dev/zero".into(), "/dev/null".into()]) {
        for mmap in [true, false] {
            let err = Gguf::open(&path, &OpenOptions { mmap }).expect_err("it is not a file");
            assert!(
                matches!(&err, LoadError::Io { source, .. } if source.kind() == ErrorKind::InvalidInput),
                "{err:?}"
            );
        }
    }
}

/// Every place of a small file, where mutations by chance meet but some.
#[test]
fn every_cut_every_bit_and_every_huge_length() {
    let good = Raw::good().bytes();
    for n in 0..good.len() {
        let err = Gguf::from_bytes(good[..n].to_vec()).expect_err("a part of a file");
        let fits = match err {
            LoadError::Magic { .. } => n < 4,
            LoadError::Truncated { at, .. } | LoadError::Count { at, .. } => at <= n,
            // The data part begins at byte 192.
            LoadError::OutOfFile { available, .. } => available == n.saturating_sub(192) as u64,
            _ => false,
        };
        assert!(fits, "cut to {n} bytes: {err}");
    }
    let mut opened = 0;
    let mut check = |bytes: Vec<u8>| {
        if let Ok(g) = Gguf::from_bytes(bytes) {
            walk(&g);
            opened += 1;
        }
    };
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << bit;
            check(bytes);
        }
        for huge in [u64::MAX, 1 << 63, 1 << 62, 1 << 40, 1 << 32, u64::from(u32::MAX), good.len() as u64] {
            for width in [4, 8] {
                let mut bytes = good.clone();
                let n = width.min(good.len() - at);
                bytes[at..at + n].copy_from_slice(&huge.to_le_bytes()[..n]);
                check(bytes);
            }
        }
    }
    // Flipped bits of data, names and strings leave a file; most other changes must not.
    let all = good.len() * (8 + 7 * 2);
    println!("{all} changes, {opened} files still");
    assert!((100 * 8..all * 4 / 5).contains(&opened), "{opened} of {all}");
}

/// Walks everything that a program could read from an opened file.
fn walk(g: &Gguf) -> usize {
    fn value(v: Value<'_>) -> usize {
        match v {
            Value::Array(a) => {
                let typed = a.strings().map_or(0, Iterator::count) + a.ints().map_or(0, Iterator::count);
                a.iter().map(value).sum::<usize>() + typed + a.f32s().map_or(0, Iterator::count)
            }
            Value::Str(s) => s.len(),
            _ => 1,
        }
    }
    let pairs: usize = g.metadata().iter().map(|(k, v)| k.len() + value(v)).sum();
    for t in g.tensors() {
        assert_eq!(g.tensor_data(t).len() as u64, t.bytes);
    }
    pairs
}

/// The most memory that this process ever held.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kb| kb * 1024)
}

#[test]
fn mutations_neither_panic_nor_hoard_memory() {
    let tiny =
        Tiny::make(Shape { layers: 1, dim: 32, ff: 32, heads: 2, head_dim: 16, ..Shape::qwen2(Format::Q8_0) }, 1);
    let mut rng = ChaCha8Rng::seed_from_u64(99);
    let rounds: usize = std::env::var("HEWN_MUTATIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(3000);
    let before = peak();
    let (mut refused, mut models, mut errors) = (0, 0, std::collections::BTreeSet::new());
    for seed in [&tiny.bytes, &Raw::good().bytes()] {
        // What matters is in front of the tensors' data.
        let head = seed.len().min(12_000);
        for i in 0..rounds {
            let mut bytes = seed.clone();
            for _ in 0..1 + rng.next_u32() % 3 {
                let at = rng.next_u32() as usize % head;
                match i % 4 {
                    0 => bytes[at] ^= 1 << (rng.next_u32() % 8),
                    1 => bytes.truncate(1 + rng.next_u32() as usize % seed.len()),
                    2 => {
                        let huge = [u64::MAX, 1 << 63, 1 << 40, 1 << 31, rng.next_u64()][rng.next_u32() as usize % 5];
                        let n = bytes.len().saturating_sub(at).min(8);
                        bytes[at..at + n].copy_from_slice(&huge.to_le_bytes()[..n]);
                    }
                    _ => bytes[at] = rng.next_u32() as u8,
                }
                if bytes.len() < head {
                    break;
                }
            }
            match Gguf::from_bytes(bytes) {
                Err(e) => {
                    refused += 1;
                    errors.insert(format!("{e:?}").split([' ', '(']).next().unwrap_or_default().to_owned());
                }
                Ok(g) => {
                    walk(&g);
                    // Whatever the parser believes, the engine checks again before it sizes anything.
                    match Model::from_gguf(g) {
                        Ok(_) => models += 1,
                        Err(EngineError::Memory { .. }) => panic!("memory was asked for by an unchecked number"),
                        Err(_) => {}
                    }
                }
            }
        }
    }
    println!("{} mutations: {refused} refused, {models} still models; errors seen: {errors:?}", 2 * rounds);
    assert!(refused > rounds / 2 && models > 0 && errors.len() > 8);
    match (before, peak()) {
        (Some(before), Some(after)) => assert!(after - before < 64 << 20, "{before} to {after} bytes at the peak"),
        _ => eprintln!("peak memory not checked: no /proc/self/status"),
    }
}

#[test]
fn hyperparameters_are_checked_before_anything_is_sized() {
    let tiny = Tiny::make(Shape::data(), 1);
    let find = |key: &str| tiny.bytes.windows(key.len()).position(|w| w == key.as_bytes()).unwrap() + key.len() + 4;
    let sizes = [
        "embedding_length",
        "block_count",
        "feed_forward_length",
        "attention.head_count\u{4}",
        "context_length",
        "attention.key_length",
        "attention.value_length",
        "rope.dimension_count",
        "attention.head_count_kv",
    ];
    for key in sizes {
        let at = find(key.trim_end_matches('\u{4}'));
        for v in [0u32, 3, 1 << 24, u32::MAX] {
            let mut bytes = tiny.bytes.clone();
            bytes[at..at + 4].copy_from_slice(&v.to_le_bytes());
            let result = Model::from_gguf(Gguf::from_bytes(bytes).unwrap());
            // Another context is a matter of taste; 2^24 positions are allowed, they cost nothing until used.
            let allowed = key == "context_length" && (1..=1 << 24).contains(&v);
            assert_eq!(result.is_ok(), allowed, "{key} = {v}: {:?}", result.err().map(|e| e.to_string()));
        }
    }
}

#[test]
fn hyperparameters_of_experts_are_checked() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/data/arch/gpt-oss.gguf");
    let file = std::fs::read(path).unwrap();
    Model::from_gguf(Gguf::from_bytes(file.clone()).unwrap()).unwrap();
    for key in ["expert_count", "expert_used_count", "expert_feed_forward_length", "rope.scaling.factor"] {
        let at = file.windows(key.len()).position(|w| w == key.as_bytes()).unwrap() + key.len() + 4;
        for v in [0u32, 7, 1 << 24, u32::MAX] {
            let mut bytes = file.clone();
            bytes[at..at + 4].copy_from_slice(&v.to_le_bytes());
            let err = Model::from_gguf(Gguf::from_bytes(bytes).unwrap()).map(|_| ()).unwrap_err().to_string();
            let names = ["expert", "exps", "ffn_gate_inp", key];
            assert!(names.iter().any(|n| err.contains(n)), "{key} = {v}: {err}");
        }
    }
}

#[test]
fn what_architectures_differ_in_is_checked() {
    let load = |name: &str, key: &str, v: u32| {
        let mut file = std::fs::read(format!("{}/data/arch/{name}.gguf", env!("CARGO_MANIFEST_DIR"))).unwrap();
        let at = file.windows(key.len()).position(|w| w == key.as_bytes()).unwrap() + key.len() + 4;
        file[at..at + 4].copy_from_slice(&v.to_le_bytes());
        Model::from_gguf(Gguf::from_bytes(file).unwrap()).map(|m| m.config().layers).map_err(|e| e.to_string())
    };
    // A rotary table of its own for layers with a window, where there are any.
    for (name, windows) in [("olmo2", false), ("olmo3", true)] {
        let file = std::fs::read(format!("{}/data/arch/{name}.gguf", env!("CARGO_MANIFEST_DIR"))).unwrap();
        let model = Model::from_gguf(Gguf::from_bytes(file).unwrap()).unwrap();
        assert_eq!(
            (model.config().window.is_some(), model.config().local_rope.is_some()),
            (windows, windows),
            "{name}"
        );
    }
    // Three layers and one that guesses.
    assert_eq!(load("glm4moe", "nextn_predict_layers", 1), Ok(3));
    // Of those that are left out all tensors may be there, of others none.
    assert_eq!(load("glm4moe", "nextn_predict_layers", 2), Ok(2));
    let err = load("glm4moe", "nextn_predict_layers", 0).unwrap_err();
    assert!(err.contains("blk.3.nextn"), "{err}");
    for v in [4, 5, u32::MAX] {
        let err = load("glm4moe", "nextn_predict_layers", v).unwrap_err();
        assert!(err.contains("nextn_predict_layers"), "{v}: {err}");
    }
    let err = load("ernie4_5-moe", "interleave_moe_layer_step", 2).unwrap_err();
    assert!(err.contains("interleave_moe_layer_step"), "{err}");
    let mut file = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/data/arch/minicpm.gguf")).unwrap();
    let at = file.windows(13).position(|w| w == b"residual_scal").unwrap();
    file[at] = b'x';
    let err = Model::from_gguf(Gguf::from_bytes(file).unwrap()).map(|_| ()).unwrap_err().to_string();
    assert!(err.contains("residual_scale"), "{err}");
    let err = load("mistral3", "attention.temperature_scale", f32::NAN.to_bits()).unwrap_err();
    assert!(err.contains("attention.temperature_scale"), "{err}");
}

#[test]
fn an_unknown_architecture_is_named() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/data/arch/gpt-oss.gguf");
    let mut file = std::fs::read(path).unwrap();
    let at = file.windows(7).position(|w| w == b"gpt-oss").unwrap();
    file[at..at + 7].copy_from_slice(b"gpt-new");
    let err = Model::from_gguf(Gguf::from_bytes(file).unwrap()).map(|_| ()).unwrap_err().to_string();
    assert!(err.contains("`gpt-new`") && err.contains("gpt-oss") && err.contains("qwen3moe"), "{err}");
}

#[test]
fn weights_that_are_not_numbers_end_the_step() {
    for format in [Format::Q8_0, Format::Q2K, Format::Q4K, Format::Iq1M, Format::F32, Format::F16] {
        let tiny = Tiny::make(Shape { layers: 1, ..Shape::qwen2(format) }, 1);
        let gguf = Gguf::from_bytes(tiny.bytes.clone()).unwrap();
        let tensors = gguf.tensors().to_vec();
        for t in tensors.iter().filter(|t| t.name != "token_embd.weight") {
            for bits in [0x7e00u16, 0x7c00] {
                let mut bytes = tiny.bytes.clone();
                let at = t.offset as usize;
                // The scales of a block, or the first number: a NaN, or an infinity.
                let v = if bits == 0x7e00 { f32::NAN } else { f32::INFINITY };
                match t.dtype.name() {
                    "F32" => bytes[at..at + 4].copy_from_slice(&v.to_le_bytes()),
                    "F16" => bytes[at..at + 2].copy_from_slice(&bits.to_le_bytes()),
                    _ => format.write_scales(&mut bytes[at..at + format.block_bytes()], || v),
                }
                let model = Arc::new(Model::from_gguf(Gguf::from_bytes(bytes).unwrap()).unwrap());
                for isa in CpuIsa::available() {
                    let team = Arc::new(Team::new(1, isa).unwrap());
                    let mut runner = Runner::new(model.clone(), team, &RunnerOptions::default()).unwrap();
                    let mut seq = Sequence::new(&model, &SequenceOptions::default()).unwrap();
                    let work = Work { seq: &mut seq, tokens: &[1, 2, 3], logits: Logits::All };
                    let result = runner.step(&mut [work], &mut |_, _| ControlFlow::Continue(())).map(<[f32]>::to_vec);
                    let name = format!("{} {} {bits:#x} {}", format.name(), t.name, isa.kind());
                    assert!(matches!(result, Err(EngineError::NonFinite { .. })), "{name}");
                    assert_eq!(seq.len(), 0, "{name}");
                }
            }
        }
    }
}
