//! `hewn run --prompt-cache`: what is read once is not read again, and no answer changes.

use crate::support::{Done, TINY, arg, folder, hewn, refused};
use std::fs;
use std::path::Path;

const LONG: &str = "A long prompt about nothing in particular, which goes on and on";

fn run(prompt: &str, more: &[&str]) -> Done {
    let model = ["run", TINY, prompt, "--raw", "-n", "6", "--seed", "1", "--json", "--quiet", "--pack", "off"];
    hewn(&[&model[..], more].concat())
}

/// Tokens of the prompt, how many of them were known, and the answer.
fn told(done: Done) -> (u64, u64, String) {
    let v = done.ok().json();
    let n = |key: &str| v["timings"][key].as_u64().unwrap();
    (n("prompt_tokens"), n("cached_tokens"), v["tokens"].to_string())
}

#[test]
fn what_was_read_is_not_read_again() {
    let dir = folder();
    let file = dir.path().join("prompt");
    let cache = |prompt: &str, more: &[&str]| told(run(prompt, &[&["--prompt-cache", arg(&file)], more].concat()));
    let (n, known, answer) = cache(LONG, &[]);
    assert_eq!((known, &answer), (0, &told(run(LONG, &[])).2));
    let first = fs::read(&file).unwrap();
    // All but the last token, whose logits are needed.
    assert_eq!(cache(LONG, &[]), (n, n - 1, answer));
    assert!(fs::read(&file).unwrap() == first, "there was nothing new");
    let longer = format!("{LONG}, and then some more");
    let plain = told(run(&longer, &[]));
    let known = cache(&longer, &["--prompt-cache-ro"]);
    assert!(known.1 + 2 >= n && (known.0, &known.2) == (plain.0, &plain.2), "{known:?}");
    assert!(fs::read(&file).unwrap() == first, "it is only read");
    assert_eq!(cache(&longer, &[]).2, plain.2);
    assert_eq!(cache(&longer, &[]).1, plain.0 - 1);
    // Nothing else is left in the folder.
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn one_that_does_not_fit_is_told_and_replaced() {
    let dir = folder();
    let file = dir.path().join("prompt");
    let with = |more: &[&str]| run(LONG, &[&["--prompt-cache", arg(&file)], more].concat());
    let (_, _, answer) = told(with(&[]));
    let first = fs::read(&file).unwrap();
    let other = with(&["--kv", "f32"]).ok();
    assert!(other.err.contains("is not used") && other.err.contains("f16, not f32"), "{}", other.err);
    let second = fs::read(&file).unwrap();
    assert!(second != first);
    // Damaged, cut off, or nothing at all.
    for damaged in [[&first[..99], &[!first[99]], &first[100..]].concat(), first[..500].to_vec(), Vec::new()] {
        fs::write(&file, &damaged).unwrap();
        let done = with(&[]).ok();
        assert_eq!(done.err.contains("is not used"), !damaged.is_empty(), "{}", done.err);
        assert_eq!(told(done), (told(with(&[])).0, 0, answer.clone()));
        assert!(fs::read(&file).unwrap() == first);
    }
}

#[test]
fn other_files_stay_as_they_are() {
    let dir = folder();
    let file = dir.path().join("letter.txt");
    fs::write(&file, "Dear all,").unwrap();
    refused(&run(LONG, &["--prompt-cache", arg(&file)]), 2, "is no prompt cache");
    assert_eq!(fs::read_to_string(&file).unwrap(), "Dear all,");
    let nothing = dir.path().join("nothing");
    refused(&run(LONG, &["--prompt-cache", arg(&nothing), "--prompt-cache-ro"]), 1, "nothing");
    refused(&run(LONG, &["--prompt-cache", arg(dir.path())]), 1, "");
    refused(&run(LONG, &["--prompt-cache", TINY]), 2, "");
    assert!(Path::new(TINY).exists() && !nothing.exists());
}
