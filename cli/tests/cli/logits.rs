//! `hewn logits`: the same bytes whatever computed them.

use crate::support::{Done, TINY, VOCAB, arg, folder, hewn};

const TOKENS: &str = "3,14,15,92,65,35,89,79,32,38,46,26,43,38,32,79,50,28,84,19";

fn logits(more: &[&str]) -> (Done, Vec<u8>) {
    let dir = folder();
    let out = dir.path().join("out.f32");
    let done = hewn(&[&["logits", TINY, "--tokens", TOKENS, "-o", arg(&out)], more].concat());
    let bytes = std::fs::read(&out).unwrap_or_default();
    (done, bytes)
}

#[test]
fn chunks_threads_and_instruction_sets_change_nothing() {
    let (done, expected) = logits(&[]);
    done.ok();
    assert_eq!(expected.len(), 20 * VOCAB * 4);
    let values: Vec<f32> = expected.chunks_exact(4).map(|c| f32::from_le_bytes(c.try_into().unwrap())).collect();
    assert!(values.iter().all(|v| v.is_finite()) && values.iter().any(|v| *v != values[0]));
    for more in [&["--chunk", "1"], &["--chunk", "7"], &["--threads", "1"], &["--threads", "2"]] {
        let (done, bytes) = logits(more);
        done.ok();
        assert!(bytes == expected, "{more:?}");
    }
    let (done, bytes) = logits(&["--no-mmap", "--chunk", "3", "--threads", "2", "--isa", "scalar"]);
    done.ok();
    assert!(bytes == expected);
    let (done, bytes) = logits(&["--kv", "f32"]);
    done.ok();
    assert!(bytes.len() == expected.len() && bytes != expected, "the cache's format has an effect");
}

#[test]
fn every_instruction_set_of_this_machine() {
    // An unknown name is answered with the list of those that the CPU has.
    let (unknown, _) = logits(&["--isa", "mmx"]);
    let list = unknown.err.lines().next().and_then(|l| l.split_once("has: ")).map(|(_, l)| l.to_owned());
    let names: Vec<String> = list.expect("the list").split(", ").map(str::to_owned).collect();
    assert!(names.iter().any(|n| n == "scalar"), "{names:?}");
    let runs: Vec<Vec<u8>> = names
        .iter()
        .map(|name| {
            let (done, bytes) = logits(&["--isa", name]);
            done.ok();
            bytes
        })
        .collect();
    assert_eq!(runs[0].len(), 20 * VOCAB * 4);
    for (name, bytes) in names.iter().zip(&runs) {
        assert!(*bytes == runs[0], "{name} differs from {}", names[0]);
    }
}
