//! `hewn embed` and `hewn rerank`: vectors of texts, scores of documents, and what refuses.

use crate::support::{Done, TINY, arg, folder, hewn, hewn_with, refused};
use hewn_loader::{Gguf, GgufWriter, OpenOptions};
use std::path::{Path, PathBuf};

/// A model of `tests/data/embed` with the vocabulary of `tests/data/vocab` whose embeddings are its own in turns.
fn with_vocabulary(dir: &Path, name: &str) -> PathBuf {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data");
    let open = |path: &str| Gguf::open(&data.join(path), &OpenOptions::default()).expect("a fixture");
    let (model, vocab) = (open(&format!("embed/{name}.gguf")), open("vocab/bert.gguf"));
    let mut w = GgufWriter::new();
    let about_text = |key: &str| key.starts_with("tokenizer.ggml.") && key != "tokenizer.ggml.token_type_count";
    for (key, value) in model.metadata().iter().filter(|(key, _)| !about_text(key)) {
        w.value(key, &value).expect("metadata");
    }
    for (key, value) in vocab.metadata().iter().filter(|(key, _)| about_text(key)) {
        w.value(key, &value).expect("metadata");
    }
    let words = vocab.metadata().array("tokenizer.ggml.tokens").expect("a list").expect("a vocabulary").len();
    let mut data = Vec::new();
    for t in model.tensors() {
        let (mut dims, mut bytes) = (t.dims.clone(), model.tensor_data(t).to_vec());
        if t.name == "token_embd.weight" {
            let row = bytes.len() / dims[1] as usize;
            bytes = bytes.iter().copied().cycle().take(row * words).collect();
            dims[1] = words as u64;
        }
        w.tensor(&t.name, &dims, Some(t.dtype)).expect("a tensor");
        data.push(bytes);
    }
    let path = dir.join(format!("{name}.gguf"));
    let mut file = Vec::new();
    w.write_to(&mut file, data.iter().map(Vec::as_slice)).expect("written");
    std::fs::write(&path, file).expect("written");
    path
}

fn vectors(done: Done) -> Vec<Vec<f64>> {
    let json = done.ok().json();
    let texts = json["texts"].as_array().expect("a list");
    let numbers = |v: &serde_json::Value| v.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
    texts.iter().map(|t| numbers(&t["vector"])).collect()
}

#[test]
fn texts_come_from_arguments_files_and_pipes() {
    let dir = folder();
    let (model, list) = (with_vocabulary(dir.path(), "bert"), dir.path().join("list"));
    std::fs::write(&list, "packed kernels\nA model of text.\n").unwrap();
    let want = vectors(hewn(&["embed", arg(&model), "packed kernels", "A model of text.", "--json"]));
    assert_eq!(want.iter().map(Vec::len).collect::<Vec<_>>(), [24, 24]);
    for v in &want {
        assert!((v.iter().map(|v| v * v).sum::<f64>() - 1.0).abs() < 1e-5);
    }
    assert_eq!(vectors(hewn(&["embed", arg(&model), "-f", arg(&list), "--json"])), want);
    let piped = hewn_with(&["embed", arg(&model), "-", "--json"], "packed kernels\nA model of text.\n");
    assert_eq!(vectors(piped), want);
    // Neither threads nor the other texts matter.
    assert_eq!(vectors(hewn(&["embed", arg(&model), "A model of text.", "--json", "-t", "1"])), want[1..]);
    let longer = vectors(hewn(&["embed", arg(&model), "packed kernels", "--json", "--no-normalize"]));
    assert!((longer[0].iter().map(|v| v * v).sum::<f64>() - 1.0).abs() > 0.1);
}

#[test]
fn people_get_the_first_numbers_or_how_similar_texts_are() {
    let dir = folder();
    let model = with_vocabulary(dir.path(), "bert");
    let done = hewn(&["embed", arg(&model), "packed kernels", "A model"]).ok();
    let lines: Vec<&str> = done.text().lines().collect();
    assert!(lines.len() == 2 && lines[0].starts_with("packed kernels ") && lines[0].ends_with("... (24)"), "{lines:?}");
    let done = hewn(&["embed", arg(&model), "packed kernels", "A model", "--compare"]).ok();
    let numbers: Vec<&str> = done.text().lines().next().unwrap().split_whitespace().collect();
    assert!(numbers.len() == 4 && numbers[2] == "1.000", "{numbers:?}");
    // A line for each token, with what is around them.
    let done = hewn(&["embed", arg(&model), "model", "--pooling", "none"]).ok();
    assert!(done.text().lines().count() >= 3, "{}", done.text());
    let told = hewn(&["inspect", arg(&model)]).ok();
    assert!(
        told.text().contains("pooling cls") && told.text().contains("every token of a text sees all"),
        "{}",
        told.text()
    );
}

#[test]
fn documents_are_ordered_by_their_scores() {
    let dir = folder();
    let model = with_vocabulary(dir.path(), "bert-rank");
    let documents = ["packed kernels", "A model of text.", "formats and files"];
    let ask =
        |more: &[&str]| hewn(&[&["rerank", arg(&model), "--query", "which files?"], &documents[..], more].concat());
    let json = ask(&["--json"]).ok().json();
    let mut scores: Vec<(f64, &str)> = json["documents"]
        .as_array()
        .unwrap()
        .iter()
        .map(|d| (d["score"].as_f64().unwrap(), d["text"].as_str().unwrap()))
        .collect();
    assert_eq!(scores.iter().map(|s| s.1).collect::<Vec<_>>(), documents);
    scores.sort_by(|a, b| b.0.total_cmp(&a.0));
    let done = ask(&[]).ok();
    let shown: Vec<&str> = done.text().lines().map(|l| l[12..].trim()).collect();
    assert_eq!(shown, scores.iter().map(|s| s.1).collect::<Vec<_>>());
}

#[test]
fn what_cannot_be_is_explained() {
    let dir = folder();
    let model = with_vocabulary(dir.path(), "bert");
    refused(&hewn(&["run", arg(&model), "Hello", "--raw"]), 1, "`hewn embed`");
    refused(&hewn(&["embed", arg(&model), &"model ".repeat(200)]), 1, "more than the 128");
    refused(&hewn(&["embed", arg(&model)]), 2, "there is no text");
    refused(&hewn(&["embed"]), 2, "there is no model");
    refused(&hewn(&["embed", arg(&model), "a", "--pooling", "rank"]), 1, "no classifier");
    refused(&hewn(&["rerank", arg(&model), "--query", "a", "b"]), 1, "no classifier");
    refused(&hewn(&["embed", TINY, "a"]), 1, "qwen2.pooling_type");
    assert_eq!(vectors(hewn(&["embed", TINY, "a", "bc", "--pooling", "last", "--json"])).len(), 2);
}
