//! Adapters: `--lora` and `--lora-scaled`.

use crate::support::{TINY, arg, folder, hewn, refused};
use hewn_loader::{Gguf, GgufWriter, MetaValue, OpenOptions, TensorType};
use std::path::{Path, PathBuf};

/// An adapter of rank 2 for the tiny model.
fn adapter(dir: &Path, arch: &str, more: Option<(&str, MetaValue)>) -> PathBuf {
    let model = Gguf::open(Path::new(TINY), &OpenOptions::default()).unwrap();
    let mut w = GgufWriter::new();
    for (key, value) in [("general.type", "adapter"), ("general.architecture", arch), ("adapter.type", "lora")] {
        w.meta(key, MetaValue::Str(value.into())).unwrap();
    }
    w.meta("adapter.lora.alpha", MetaValue::F32(4.0)).unwrap();
    more.into_iter().for_each(|(key, value)| w.meta(key, value).unwrap());
    let mut data = Vec::new();
    for t in model.tensors().iter().filter(|t| t.name.ends_with("_down.weight") || t.name.ends_with("_q.weight")) {
        for (half, dims) in [("lora_a", [t.dims[0], 2]), ("lora_b", [2, t.dims[1]])] {
            w.tensor(&format!("{}.{half}", t.name), &dims, TensorType::from_id(0)).unwrap();
            let number = |i: u64| (i * 37 % 101) as f32 / 100.0 - 0.5;
            data.push((0..dims[0] * dims[1]).flat_map(|i| number(i).to_le_bytes()).collect::<Vec<u8>>());
        }
    }
    let path = dir.join(format!("{arch}-adapter.gguf"));
    w.write_to(&mut std::fs::File::create(&path).unwrap(), data.iter().map(Vec::as_slice)).unwrap();
    path
}

#[test]
fn they_change_what_a_model_computes() {
    let dir = folder();
    let (path, out) = (adapter(dir.path(), "qwen2", None), dir.path().join("out.f32"));
    let logits = |more: &[&str]| {
        hewn(&[&["logits", TINY, "--tokens", "3,14,15,92,65", "-o", arg(&out)], more].concat()).ok();
        std::fs::read(&out).unwrap()
    };
    let scaled = |scale: &str| format!("{}:{scale}", arg(&path));
    let (plain, whole) = (logits(&[]), logits(&["--lora", arg(&path)]));
    assert!(plain != whole);
    assert!(logits(&["--lora-scaled", &scaled("1")]) == whole && logits(&["--lora-scaled", &scaled("0")]) == plain);
    let half = logits(&["--lora-scaled", &scaled("0.5")]);
    assert!(half != plain && half != whole);
    assert!(logits(&["--lora", arg(&path), "--no-mmap", "--chunk", "2", "--isa", "scalar"]) == whole);
    // Twice is not once.
    let twice = logits(&["--lora", arg(&path), "--lora-scaled", &scaled("1")]);
    assert!(twice != whole && twice == logits(&["--lora", arg(&path), "--lora", arg(&path)]));
}

#[test]
fn every_command_that_runs_a_model_takes_them() {
    let dir = folder();
    let (good, other) = (adapter(dir.path(), "qwen2", None), adapter(dir.path(), "llama", None));
    let text = dir.path().join("text");
    std::fs::write(&text, "one two three four five six seven eight nine ten ".repeat(40)).unwrap();
    let tasks = dir.path().join("tasks");
    std::fs::write(&tasks, "{\"prompt\": \"a\", \"answer\": \"b\"}\n").unwrap();
    let commands: &[&[&str]] = &[
        &["run", TINY, "-p", "hi", "-n", "2"],
        &["chat", TINY],
        &["logits", TINY, "--tokens", "1", "-o", "-"],
        &["perplexity", TINY, "-f", arg(&text), "-c", "64"],
        &["eval", TINY, "--tasks", arg(&tasks), "-n", "2"],
        &["embed", TINY, "hi", "--pooling", "last"],
        &["bench", TINY, "-p", "2", "-r", "1", "--layout", "file"],
        &["profile", TINY, "--pp", "2", "--layout", "file"],
        &["inspect", TINY],
    ];
    for command in commands {
        let done = hewn(&[command, &["--lora", arg(&other)][..]].concat());
        refused(&done, 1, "it is for `llama` models, and the model is `qwen2`");
        if !["bench", "profile"].contains(&command[0]) {
            hewn(&[command, &["--lora", arg(&good)][..]].concat()).ok();
        }
    }
    refused(&hewn(&["run", TINY, "-p", "hi", "--lora", "no/such.gguf"]), 1, "no/such.gguf");
    for wrong in ["a.gguf", "a.gguf:much"] {
        let done = hewn(&["run", TINY, "-p", "hi", "--lora-scaled", wrong]);
        assert!(done.code == Some(2) && done.err.contains("FILE:SCALE"), "{}", done.err);
    }
    let e = hewn(&["run", arg(&good), "hi"]);
    refused(&e, 1, "the file holds an adapter for `qwen2` models");
    assert!(e.err.contains("--lora"));
}

#[test]
fn inspect_shows_them() {
    let dir = folder();
    let path = adapter(dir.path(), "qwen2", None);
    let done = hewn(&["inspect", arg(&path)]).ok();
    for fact in ["architecture    qwen2", "adapter         lora, rank 2, alpha 4, of 4 matrices", "F32"] {
        assert!(done.text().contains(fact), "no `{fact}` in {}", done.text());
    }
    assert!(!done.text().contains("cannot be used") && !done.text().contains("template"));
    let v = hewn(&["inspect", arg(&path), "--json", "--tensors"]).ok().json();
    let adapter_facts = &v["adapter"];
    assert_eq!((&adapter_facts["type"], &adapter_facts["matrices"]), (&"lora".into(), &4.into()));
    assert_eq!(adapter_facts["ranks"], serde_json::json!([2, 2]));
    assert!(adapter_facts["error"].is_null() && v["tensors"].as_array().unwrap().len() == 8);
    let tokens = MetaValue::Array(vec![MetaValue::U32(1)]);
    let switched = adapter(dir.path(), "llama", Some(("adapter.alora.invocation_tokens", tokens)));
    let done = hewn(&["inspect", arg(&switched)]).ok();
    assert!(done.text().contains("it cannot be used") && done.text().contains("adapter.alora"));
    // Beside its model, what it takes.
    let v = |more: &[&str]| hewn(&[&["inspect", TINY, "--json"], more].concat()).ok().json()["memory"].clone();
    let (plain, changed) = (v(&[]), v(&["--lora", arg(&path)]));
    assert_eq!((&plain["adapters"], &plain["kv"]), (&0.into(), &changed["kv"]));
    assert!(changed["adapters"].as_u64() > Some(0) && changed["scratch"].as_u64() > plain["scratch"].as_u64());
}
