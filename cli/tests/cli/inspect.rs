//! `hewn inspect`.

use crate::support::{TINY, VOCAB, arg, folder, hewn, tiny_with};
use hewn_loader::{Gguf, GgufWriter, MetaValue, OpenOptions, write_split};
use std::path::Path;

#[test]
fn the_facts_as_text() {
    let done = hewn(&["inspect", TINY]).ok();
    for fact in
        ["qwen2", "Q4_0", "F32", "512 tokens", "273 tokens", "chat template   yes", "bits per weight", "scratch"]
    {
        assert!(done.text().contains(fact), "no `{fact}` in {}", done.text());
    }
    assert!(!done.text().contains("token_embd.weight") && done.err.is_empty());
    let tensors = hewn(&["inspect", TINY, "--tensors"]).ok();
    let line = tensors.text().lines().find(|l| l.contains("token_embd.weight")).unwrap();
    assert_eq!(line.split_whitespace().collect::<Vec<_>>(), ["token_embd.weight", "64", "x", "273", "Q4_0", "9828"]);
}

#[test]
fn the_facts_as_json() {
    let v = hewn(&["inspect", TINY, "--json", "--tensors"]).ok().json();
    assert_eq!(v["file_bytes"], std::fs::metadata(TINY).unwrap().len());
    assert_eq!(v["architecture"], "qwen2");
    assert_eq!(v["vocabulary"], VOCAB);
    assert_eq!(v["context_length"], 512);
    assert_eq!((&v["chat_template"], &v["fallback_template"]), (&true.into(), &serde_json::Value::Null));
    let sum = |key: &str| v["formats"].as_object().unwrap().values().map(|f| f[key].as_u64().unwrap()).sum::<u64>();
    let tensors = v["tensors"].as_array().unwrap();
    assert_eq!(tensors.len() as u64, sum("tensors"));
    assert_eq!(tensors.iter().map(|t| t["bytes"].as_u64().unwrap()).sum::<u64>(), sum("bytes"));
    assert_eq!(v["parameters"], sum("weights"));
    let bits = sum("bytes") as f64 * 8.0 / sum("weights") as f64;
    assert!((v["bits_per_weight"].as_f64().unwrap() - bits).abs() < 1e-9);
    assert!(hewn(&["inspect", TINY, "--json"]).ok().json().get("tensors").is_none());
}

#[test]
fn without_a_template_the_family_is_named() {
    let dir = folder();
    let bare = tiny_with(dir.path(), &[("tokenizer.chat_template", None)]);
    let text = hewn(&["inspect", arg(&bare)]).ok();
    assert!(text.text().contains("of the family chatml, whose is used"), "{}", text.text());
    let v = hewn(&["inspect", arg(&bare), "--json"]).ok().json();
    assert_eq!((&v["chat_template"], &v["fallback_template"]), (&false.into(), &"chatml".into()));
}

#[test]
fn memory_follows_the_context_and_the_cache_format() {
    let memory = |more: &[&str]| hewn(&[&["inspect", TINY, "--json"], more].concat()).ok().json()["memory"].clone();
    let kv = |more: &[&str]| memory(more)["kv"].as_u64().unwrap();
    // Two layers, 32 channels, keys and values.
    assert_eq!(kv(&["--ctx", "256"]), 256 * 2 * 32 * 2 * 2);
    assert_eq!(kv(&["--ctx", "256", "--kv", "f32"]), 256 * 2 * 32 * 2 * 4);
    assert_eq!(kv(&[]), kv(&["--ctx", "512"]));
    let m = memory(&["--ctx", "64"]);
    let parts = ["weights_mapped", "kv", "scratch"].map(|k| m[k].as_u64().unwrap());
    assert_eq!(m["total"].as_u64().unwrap(), parts.iter().sum::<u64>());
    assert!(memory(&["--chunk", "16"])["scratch"].as_u64().unwrap() < parts[2]);
    let done = hewn(&["inspect", TINY, "--ctx", "513"]);
    assert!(done.code == Some(1) && done.err.contains("512") && done.err.lines().count() == 2, "{}", done.err);
}

#[test]
fn files_that_cannot_run_are_shown_all_the_same() {
    let dir = folder();
    let alien = tiny_with(dir.path(), &[("general.architecture", Some(MetaValue::Str("alien".into())))]);
    let done = hewn(&["inspect", arg(&alien)]).ok();
    assert!(done.text().contains("alien") && done.text().contains("memory          unknown: "), "{}", done.text());
    assert!(
        hewn(&["inspect", arg(&alien), "--json"]).ok().json()["memory"]["error"].as_str().unwrap().contains("alien")
    );

    let sections = MetaValue::Array([8, 12, 12, 0].map(MetaValue::I32).to_vec());
    let images = tiny_with(dir.path(), &[("qwen2.rope.dimension_sections", Some(sections))]);
    let done = hewn(&["inspect", arg(&images)]).ok();
    assert!(done.text().contains("positions of several coordinates are not supported"), "{}", done.text());

    let path = dir.path().join("vocab.gguf");
    let mut w = GgufWriter::new();
    let names = ["a\u{1b}[31m", "b"].map(|s| MetaValue::Str(s.into()));
    w.meta("general.name", MetaValue::Str("x\u{1b}[2J".into())).unwrap();
    w.meta("tokenizer.ggml.tokens", MetaValue::Array(names.to_vec())).unwrap();
    w.write_to(&mut std::fs::File::create(&path).unwrap(), []).unwrap();
    let done = hewn(&["inspect", arg(&path)]).ok();
    assert!(done.text().contains("2 tokens") && done.text().contains("vocabulary only"), "{}", done.text());
    assert!(!done.text().contains('\u{1b}'), "a file must not drive the terminal");
}

#[test]
fn a_split_file_by_any_part() {
    let dir = folder();
    let whole = Gguf::open(Path::new(TINY), &OpenOptions::default()).unwrap();
    let parts = write_split(&whole, &dir.path().join("tiny.gguf"), 3).unwrap();
    for part in &parts {
        let text = hewn(&["inspect", arg(part)]).ok();
        for p in &parts {
            assert!(text.text().contains(&format!("{} (", arg(p))), "{}", text.text());
        }
        let v = hewn(&["inspect", arg(part), "--json", "--tensors"]).ok().json();
        let bytes: u64 = parts.iter().map(|p| std::fs::metadata(p).unwrap().len()).sum();
        assert_eq!((v["parts"].as_array().unwrap().len(), v["file_bytes"].as_u64()), (3, Some(bytes)));
        assert_eq!(v["tensors"].as_array().unwrap().last().unwrap()["part"], 2);
        let run = |model: &str, more: &[&str]| {
            hewn(&[&["run", model, "hello", "-n", "8", "--seed", "1", "-q", "--pack", "off"], more].concat()).ok().out
        };
        assert!(run(arg(part), &[]) == run(TINY, &[]) && run(arg(part), &["--no-mmap"]) == run(TINY, &[]));
    }
    hewn(&["pack", arg(&parts[2])]).ok();
    assert!(hewn(&["inspect", arg(&parts[1])]).ok().text().contains("tiny-00001-of-00003.gguf.hewnpack"));
    std::fs::remove_file(&parts[1]).unwrap();
    let done = hewn(&["run", arg(&parts[0]), "hello"]);
    assert!(
        done.code == Some(1) && done.err.contains("tiny-00002-of-00003.gguf: part 2 of 3 is missing"),
        "{}",
        done.err
    );
    assert!(done.err.contains("hint: all parts must be in the same folder"), "{}", done.err);
    assert_eq!(hewn(&["inspect", TINY, "--json"]).ok().json()["parts"], serde_json::json!([]));
}
