//! `hewn eval`.

use crate::support::{TINY, arg, folder, hewn, hewn_with, plain, refused};
use std::path::{Path, PathBuf};

/// Some questions, of which a random model answers those of `any` right.
fn questions(dir: &Path) -> PathBuf {
    let path = dir.join("questions.jsonl");
    let line = |i: usize| match i % 3 {
        0 => format!("{{\"task\": \"sums\", \"prompt\": \"{i} + 1\", \"answer\": \"{}\"}}\n\n", i + 1),
        1 => format!("{{\"task\": \"any\", \"prompt\": \"say {i}\", \"regex\": \"\"}}\n"),
        _ => format!("{{\"prompt\": \"{}\", \"answer\": \"never\", \"id\": {i}}}\n", "long ".repeat(i)),
    };
    std::fs::write(&path, (0..12).map(line).collect::<String>()).unwrap();
    path
}

#[test]
fn scores_by_task() {
    let dir = folder();
    let file = questions(dir.path());
    let args = ["eval", TINY, "--tasks", arg(&file), "-n", "12"];
    let done = hewn(&args).ok();
    let rows: Vec<Vec<&str>> = done.text().lines().map(|l| l.split_whitespace().collect()).collect();
    assert_eq!(rows[0].join(" "), "task n right accuracy 95 % interval cut off");
    assert_eq!(rows[1][..5], ["sums", "4", "0", "0.0", "%"]);
    assert_eq!(rows[2][..7], ["any", "4", "4", "100.0", "%", "51.0-100.0", "%"]);
    assert_eq!(rows[3][..5], ["-", "4", "0", "0.0", "%"]);
    assert_eq!(rows[4][..5], ["all", "12", "4", "33.3", "%"]);
    assert_eq!(rows.len(), 5);
    assert!(done.err.contains("12 answers in ") && done.err.contains("/s"), "{}", done.err);
    assert!(done.err.contains("were cut off: raise -n (it is 12)"), "{}", done.err);
    assert!(hewn(&[&args[..], &["-q"]].concat()).ok().err.is_empty());

    let json = hewn(&[&args[..], &["--json"]].concat()).ok().json();
    assert_eq!((json["overall"]["n"].as_u64(), json["overall"]["right"].as_u64()), (Some(12), Some(4)));
    assert_eq!((json["groups"][1]["task"].as_str(), json["groups"][1]["accuracy"].as_f64()), (Some("any"), Some(1.0)));
    assert!(json["tokens_per_second"].as_f64().unwrap() > 0.0 && json["wrong"].is_null());
    let some = hewn(&[&args[..], &["--json", "--limit", "2"]].concat()).ok().json();
    assert_eq!(some["overall"]["n"], 6);
    // A single group is its own sum.
    let one = dir.path().join("one.jsonl");
    std::fs::write(&one, "{\"prompt\": \"p\", \"regex\": \"\"}").unwrap();
    let done = hewn(&["eval", TINY, "--tasks", arg(&one), "-n", "3", "-q"]).ok();
    assert_eq!(done.text().lines().count(), 2, "{}", done.text());
}

#[test]
fn answers_are_the_same_whatever_runs_beside_them() {
    let dir = folder();
    let file = questions(dir.path());
    let with = |more: &[&str]| {
        let args = ["eval", TINY, "--tasks", arg(&file), "-n", "30", "--show-wrong", "-q"];
        hewn(&[&args[..], more].concat()).ok().text().to_owned()
    };
    let want = with(&["--batch", "1"]);
    assert_eq!(want.matches("prompt    ").count(), 8, "{want}");
    assert!(want.contains("expected  never\n") && want.contains("\ngot       "), "{want}");
    for more in [
        &["--batch", "3"][..],
        &["--batch", "100", "--threads", "3"],
        &["--isa", "scalar", "--threads", "1"],
        &["--chunk", "5", "--no-mmap"],
    ] {
        assert_eq!(with(more), want, "{more:?}");
    }
    // The answer is that of `hewn run`.
    let json = hewn(&["eval", TINY, "--tasks", arg(&file), "-n", "30", "--show-wrong", "--json"]).ok().json();
    let run = hewn(&["run", TINY, "0 + 1", "-n", "30", "--temp", "0", "--json"]).ok().json();
    assert_eq!((&json["wrong"][0]["got"], &json["wrong"][0]["prompt"]), (&run["text"], &"0 + 1".into()));
}

#[test]
fn files_that_are_none_of_questions() {
    let dir = folder();
    let file = dir.path().join("q.jsonl");
    let good = "{\"prompt\": \"p\", \"answer\": \"a\"}\n";
    for (bad, cause) in [
        ("{\"prompt\": 1, \"answer\": \"a\"}", "q.jsonl:3: invalid type"),
        ("{\"prompt\": \"p\"}", "q.jsonl:3: it must have one of"),
        ("{\"prompt\": \"p\", \"regex\": \"[\"}", "q.jsonl:3: `regex`"),
        ("\u{1b}[2J", "q.jsonl:3: expected a JSON object"),
    ] {
        std::fs::write(&file, format!("{good}\n{bad}\n")).unwrap();
        // The model does not exist either: the questions are looked at first.
        refused(&hewn(&["eval", "no.gguf", "--tasks", arg(&file)]), 1, cause);
    }
    std::fs::write(&file, "").unwrap();
    refused(&hewn(&["eval", TINY, "--tasks", arg(&file)]), 1, "there is no question");
    refused(&hewn(&["eval", TINY, "--tasks", arg(dir.path())]), 1, "cannot read");
    refused(&hewn(&["eval", TINY, "--tasks", "no/such.jsonl"]), 1, "no/such.jsonl");
    if cfg!(unix) {
        refused(&hewn(&["eval", TINY, "--tasks", "/dev/zero"]), 1, "/dev/zero:1: longer than");
    }
    refused(&hewn(&["eval", TINY, "--tasks", TINY]), 1, "tiny-random.gguf:1: ");
    std::fs::write(&file, good).unwrap();
    refused(&hewn(&["eval", TINY, "--tasks", arg(&file), "--ctx", "3"]), 1, "question 1 has");
    refused(&hewn(&["eval", TINY, "--tasks", arg(&file), "--ctx", "1000"]), 2, "512");
    for args in [&["eval", TINY][..], &["eval", TINY, "--tasks", arg(&file), "--batch", "0"], &["eval", "--limit", "0"]]
    {
        assert_eq!(hewn(args).code, Some(2));
    }
}

#[test]
fn models_without_a_template_are_asked_in_plain_text() {
    let dir = folder();
    let (file, model) = (questions(dir.path()), plain(dir.path()));
    let done = hewn(&["eval", arg(&model), "--tasks", arg(&file), "-n", "3"]).ok();
    assert!(done.err.contains("no chat template") && done.text().contains("all"), "{}", done.err);
}

#[test]
fn questions_come_from_standard_input_too() {
    let dir = folder();
    let text = std::fs::read_to_string(questions(dir.path())).unwrap();
    let done = hewn_with(&["eval", TINY, "--tasks", "-", "-n", "3", "--json"], &text).ok();
    assert_eq!(done.json()["overall"]["n"], 12);
    refused(&hewn_with(&["eval", TINY, "--tasks", "-"], "x"), 1, "-:1: ");
}
