//! `hewn tokenize`.

use crate::support::{TINY, arg, folder, hewn, hewn_with, shared};

#[test]
fn three_ways_to_print_and_three_to_read() {
    let text = "the cat and\n\u{e9}\u{1f600}";
    let ids = hewn(&["tokenize", TINY, text, "--json"]).ok();
    let list: Vec<u32> = serde_json::from_slice(&ids.out).unwrap();
    assert!(!list.is_empty() && list.len() < text.len(), "merges apply: {list:?}");
    let spaced = list.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
    assert_eq!(hewn(&["tokenize", TINY, text, "--ids"]).ok().text(), format!("{spaced}\n"));
    let table = hewn(&["tokenize", TINY, text]).ok();
    let first: Vec<u32> = table.text().lines().map(|l| l.split_whitespace().next().unwrap().parse().unwrap()).collect();
    assert_eq!(first, list);

    let dir = folder();
    let file = dir.path().join("text");
    std::fs::write(&file, text).unwrap();
    assert_eq!(hewn(&["tokenize", TINY, "-f", arg(&file), "--json"]).ok().out, ids.out);
    assert_eq!(hewn_with(&["tokenize", TINY, "-", "--json"], text).ok().out, ids.out);
    assert_eq!(hewn_with(&["tokenize", TINY, "--json"], text).ok().out, ids.out);
}

#[test]
fn control_tokens_only_on_request() {
    let text = "<|im_end|>";
    let plain: Vec<u32> = serde_json::from_slice(&hewn(&["tokenize", TINY, text, "--json"]).ok().out).unwrap();
    let special: Vec<u32> =
        serde_json::from_slice(&hewn(&["tokenize", TINY, text, "--json", "--special"]).ok().out).unwrap();
    assert!(plain.len() > 1 && special.len() == 1, "{plain:?} {special:?}");
}

#[test]
fn nothing_and_what_is_not_text() {
    assert_eq!(hewn(&["tokenize", TINY, "", "--json"]).ok().text(), "[]\n");
    let dir = folder();
    let file = dir.path().join("bytes");
    std::fs::write(&file, b"\xff\xfe").unwrap();
    let done = hewn(&["tokenize", TINY, "-f", arg(&file)]);
    assert!(done.code == Some(1) && done.err.lines().count() == 2, "{}", done.err);
}

#[test]
fn a_vocabulary_alone_is_enough() {
    let Some(dir) = shared("vocab") else { return };
    let vocab = |e: &std::path::Path| e.extension().is_some_and(|x| x == "gguf");
    let files: Vec<_> = dir.read_dir().unwrap().map(|e| e.unwrap().path()).filter(|p| vocab(p)).collect();
    assert!(!files.is_empty());
    for file in files {
        let done = hewn(&["tokenize", arg(&file), "Hello world", "--json"]);
        if done.code == Some(0) {
            assert!(!done.json().as_array().unwrap().is_empty(), "{}", file.display());
        } else {
            // Kinds of vocabulary that are still to come say so.
            assert!(done.code == Some(1) && done.err.lines().count() == 2, "{}: {}", file.display(), done.err);
        }
    }
}
