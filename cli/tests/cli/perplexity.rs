//! `hewn perplexity`.

use crate::support::{TINY, VOCAB, arg, folder, hewn, hewn_with, refused};
use std::path::{Path, PathBuf};

/// A text of some 350 tokens.
fn text(dir: &Path) -> PathBuf {
    let path = dir.join("text");
    let words = ["the", "and", "on", "sun", "in", "a man", "out", "her", "and then"];
    let text: Vec<&str> = (0..120).map(|i| words[(i * i + i / 7) % words.len()]).collect();
    std::fs::write(&path, text.join(" ")).unwrap();
    path
}

#[test]
fn the_figures_as_text_and_json() {
    let dir = folder();
    let text = text(dir.path());
    let done = hewn(&["perplexity", TINY, "-f", arg(&text), "--ctx", "64"]).ok();
    assert!(done.text().starts_with("perplexity ") && done.text().lines().count() == 1, "{}", done.text());
    assert!(done.err.contains("windows of 64 tokens"), "{}", done.err);
    let v = hewn(&["perplexity", TINY, "-f", arg(&text), "--ctx", "64", "--json"]).ok().json();
    let (windows, scored) = (v["windows"].as_u64().unwrap(), v["scored"].as_u64().unwrap());
    assert!(windows >= 2 && scored == windows * 31, "{v}");
    let (value, error) = (v["perplexity"]["mean"].as_f64().unwrap(), v["perplexity"]["error"].as_f64().unwrap());
    // Random weights: hardly better than guessing.
    assert!(value > VOCAB as f64 / 4.0 && value < VOCAB as f64 * 4.0 && error > 0.0 && error < value, "{v}");
    assert!(done.text().contains(&format!("{value:.6} +- {error:.6} ({scored} tokens)")), "{}", done.text());
    assert!((v["nll"]["mean"].as_f64().unwrap().exp() - value).abs() < 1e-9 * value && v.get("base").is_none());
    // From a pipe, with other threads, steps and instruction sets: the same figures.
    let piped = std::fs::read_to_string(&text).unwrap();
    for more in [&["--threads", "1"], &["--chunk", "5"], &["--isa", "scalar"]] {
        let args = [&["perplexity", TINY, "-f", "-", "--ctx", "64", "--json"][..], more].concat();
        assert_eq!(hewn_with(&args, &piped).ok().json()["perplexity"], v["perplexity"], "{more:?}");
    }
}

#[test]
fn models_are_compared_by_saved_logits() {
    let dir = folder();
    let (text, saved) = (text(dir.path()), dir.path().join("saved"));
    let base = ["perplexity", TINY, "-f", arg(&text), "--ctx", "64", "--json"];
    let done = hewn(&[&base[..], &["--save-logits", arg(&saved)]].concat()).ok();
    let v = done.json();
    let (windows, scored) = (v["windows"].as_u64().unwrap(), v["scored"].as_u64().unwrap());
    assert_eq!(saved.metadata().unwrap().len(), 40 + 4 * 64 * windows + 4 * scored * VOCAB as u64);
    assert!(done.err.contains("saved the logits"), "{}", done.err);
    let compare = |model: &str, more: &[&str]| {
        hewn(&[&["perplexity", model, "--kl-base", arg(&saved), "--json"], more].concat()).ok().json()
    };
    // The text and the window come from the file.
    for more in [&[][..], &["-f", arg(&text)], &["--ctx", "64"]] {
        let same = compare(TINY, more);
        assert_eq!((&same["perplexity"], &same["ctx"]), (&v["perplexity"], &v["ctx"]));
        assert_eq!(same["base"]["kl"]["mean"], 0.0);
        assert_eq!((&same["base"]["kl_max"], &same["base"]["same_top"]["mean"]), (&0.0.into(), &1.0.into()));
    }
    let other = dir.path().join("q4.gguf");
    hewn(&["quantize", TINY, arg(&other), "--type", "Q4_1", "--pure", "--allow-requantize"]).ok();
    let d = compare(arg(&other), &[])["base"].clone();
    let figure = |key: &str| d[key].as_f64().unwrap();
    assert!(d["kl"]["mean"].as_f64().unwrap() > 0.0 && d["kl"]["error"].as_f64().unwrap() > 0.0, "{d}");
    assert!(figure("kl_median") <= figure("kl_p99") && figure("kl_p99") <= figure("kl_max"), "{d}");
    let done = hewn(&["perplexity", arg(&other), "--kl-base", arg(&saved)]).ok();
    for line in
        ["perplexity ", "of the base ", "KL divergence ", "  median ", "  99 % ", "  maximum ", "same top token "]
    {
        assert!(done.text().contains(line), "{line}: {}", done.text());
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let dir = folder();
    let (text, saved) = (text(dir.path()), dir.path().join("saved"));
    hewn(&["perplexity", TINY, "-f", arg(&text), "--ctx", "64", "--save-logits", arg(&saved)]).ok();
    let base = |more: &[&str]| hewn(&[&["perplexity", TINY, "--kl-base", arg(&saved)], more].concat());
    refused(&base(&["--ctx", "32"]), 1, "windows of 64 tokens, not 32");
    let other = dir.path().join("other");
    std::fs::write(&other, "and ".repeat(600)).unwrap();
    refused(&base(&["-f", arg(&other)]), 1, "the text had other tokens");
    refused(&hewn(&["perplexity", TINY, "--kl-base", TINY]), 1, "does not begin like one of saved logits");
    refused(&hewn(&["perplexity", TINY, "--kl-base", "no/such/file"]), 1, "no/such/file");
    refused(&hewn(&["perplexity", TINY, "--kl-base", arg(dir.path())]), 1, "cannot read");
    let bytes = std::fs::read(&saved).unwrap();
    std::fs::write(&saved, &bytes[..bytes.len() - 4]).unwrap();
    refused(&base(&[]), 1, "its header asks for");
    refused(&hewn(&["perplexity", TINY, "-f", arg(&text)]), 1, "one window takes 512");
    refused(&hewn(&["perplexity", TINY, "-f", arg(&text), "--ctx", "2"]), 2, "too small");
    refused(&hewn(&["perplexity", TINY, "-f", "no/such/text"]), 1, "no/such/text");
    std::fs::write(&other, "and ".repeat(9000)).unwrap();
    refused(&hewn(&["perplexity", TINY, "-f", arg(&other), "--ctx", "1024"]), 2, "1024");
    let nowhere = dir.path().join("no/folder");
    refused(&hewn(&["perplexity", "no.gguf", "-f", arg(&text), "--save-logits", arg(&nowhere)]), 1, "cannot write");
    let done = hewn(&["perplexity", TINY]);
    assert!(done.code == Some(2) && done.err.contains("--file"), "{}", done.err);
    // A run that fails leaves no logits.
    let out = dir.path().join("out");
    refused(&hewn(&["perplexity", TINY, "-f", arg(&text), "--save-logits", arg(&out)]), 1, "512");
    assert_eq!(dir.path().read_dir().unwrap().count(), 3);
}
