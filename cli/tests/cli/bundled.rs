//! The model in the program, and the command lines that mean it.

use crate::support::{Done, TINY, arg, command, finish, folder, hewn, hewn_with, refused};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/hewn-tiny.gguf");
const SHORT: [&str; 5] = ["-n", "12", "--temp", "0", "--no-mmap"];

#[track_caller]
fn told(done: &Done) {
    let line = done.err.lines().next().unwrap_or_default();
    assert!(line.starts_with("using the bundled model"), "{}", done.err);
    for file in ["DeepSeek-R1-Distill-Qwen-1.5B-Q4_K_M.gguf", "Qwen-7B-Q4_K_M.gguf", "Llama-8B-Q4_K_M.gguf"] {
        assert!(line.contains(file), "{line}");
    }
}

#[test]
fn a_prompt_alone_is_answered_by_the_bundled_model() {
    let prompt = "How many r are in strawberry?";
    let want = hewn(&[&["run", FILE, prompt], &SHORT[..]].concat()).ok();
    assert!(!want.out.is_empty() && !want.err.contains("bundled"), "{}", want.err);
    let done = hewn(&[&["run", prompt], &SHORT[..]].concat()).ok();
    told(&done);
    assert_eq!(done.out, want.out);
    // Its bytes need not be copied.
    assert_eq!(hewn(&["run", prompt, "-n", "12", "--temp", "0"]).ok().out, want.out);
    assert!(hewn(&["run", prompt, "-q", "-n", "12"]).ok().err.is_empty());
    let json = hewn(&[&["run", prompt, "--json"], &SHORT[..]].concat()).ok().json();
    assert_eq!(json["model"], "hewn-tiny, bundled");
}

#[test]
fn it_thinks_and_counts() {
    let ask = |prompt, think| hewn(&["run", prompt, "--temp", "0", "-q", "--think", think]).ok();
    let done = ask("How many r are in strawberry?", "show");
    assert_eq!(done.text().trim_end(), "r: AsBtCr1DaEwFbGeHr2Ir3Jy\n\n3");
    for (prompt, answer) in [
        ("How many r are in strawberry?", "3"),
        ("What is 347 * 86?", "29842"),
        ("What is the capital of France?", "I can only do small sums and letter games."),
    ] {
        assert_eq!(ask(prompt, "hide").text().trim_end(), answer, "{prompt}");
    }
}

#[test]
fn most_questions_it_never_saw_are_answered() {
    let tasks = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/eval.jsonl");
    let done = hewn(&["eval", "--tasks", tasks, "-b", "32", "-n", "512", "--json"]).ok().json();
    let all = &done["overall"];
    let (right, n) = (all["right"].as_u64().unwrap(), all["n"].as_u64().unwrap());
    assert!(n == 1300 && right * 100 >= n * 97, "{right} of {n}");
}

#[test]
fn prompts_come_from_anywhere() {
    let dir = folder();
    let file = dir.path().join("prompt");
    std::fs::write(&file, "12 + 5").unwrap();
    let want = hewn(&[&["run", FILE, "12 + 5"], &SHORT[..]].concat()).ok().out;
    let same = |done: Done| {
        told(&done);
        assert_eq!(done.ok().out, want);
    };
    same(hewn(&[&["run", "-f", arg(&file)], &SHORT[..]].concat()));
    same(hewn_with(&[&["run"], &SHORT[..]].concat(), "12 + 5"));
    same(hewn_with(&[&["run", "-"], &SHORT[..]].concat(), "12 + 5"));
    // The prompt is there already: the pipe is not read.
    same(hewn_with(&[&["run", "12 + 5"], &SHORT[..]].concat(), "other"));
    // A sum with a stroke is no path.
    told(&hewn(&[&["run", "84/7"], &SHORT[..]].concat()).ok());
}

#[test]
fn what_reads_like_a_path_is_the_model() {
    for path in ["no-such.gguf", "no such.gguf", "no/such/model", "./no-such"] {
        refused(&hewn(&["run", path]), 1, path);
        refused(&hewn_with(&["run", path], "a prompt"), 1, path);
    }
    // So is the first of two, and one beside a file with the prompt.
    refused(&hewn(&["run", "hello", "world"]), 1, "hello");
    refused(&hewn(&["run", "hello", "-f", "no/such/prompt"]), 1, "no/such/prompt");
    let not_gguf = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    refused(&hewn(&["run", not_gguf]), 1, "not a GGUF file");
    // A file in the working directory needs no stroke.
    let dir = folder();
    std::fs::copy(TINY, dir.path().join("model")).unwrap();
    let args = [&["run", "model"], &SHORT[..]].concat();
    let done = finish(command(&args).current_dir(dir.path()).stdin(std::process::Stdio::piped()), Some("hello")).ok();
    assert!(!done.err.contains("bundled"), "{}", done.err);
    assert_eq!(done.out, hewn(&[&["run", TINY, "hello"], &SHORT[..]].concat()).ok().out);
}

#[test]
fn prompts_may_read_like_paths() {
    let dir = folder();
    std::fs::write(dir.path().join("hello"), "some file").unwrap();
    let run = |args: &[&str]| finish(command(args).current_dir(dir.path()), None);
    for prompt in ["and/or", "hello", ".", "x.gguf", "-"] {
        let args = [&["run", "--prompt", prompt], &SHORT[..]].concat();
        told(&run(&args).ok());
        assert!(!run(&[&["run", TINY, "-p", prompt], &SHORT[..]].concat()).ok().err.contains("bundled"));
        if prompt != "-" {
            let done = run(&["run", prompt]);
            refused(&done, 1, "");
            assert!(done.err.contains(&format!("if `{prompt}` is a prompt, write -p")), "{}", done.err);
        }
    }
    assert_eq!(run(&["run", TINY, "x", "-p", "y"]).code, Some(2));
    // Of a model it is not said.
    assert!(!run(&["run", TINY, "--ctx", "0", "-p", "x"]).err.contains("write -p"));
}

#[test]
fn a_run_of_nothing_is_refused() {
    refused(&hewn(&["run"]), 2, "neither a model nor a prompt");
    let dir = folder();
    let file = dir.path().join("empty");
    std::fs::write(&file, " \n").unwrap();
    for args in [
        &["run", ""][..],
        &["run", "-p", ""],
        &["run", "-f", arg(&file)],
        &["run", "-"],
        &["run", TINY],
        &["run", TINY, ""],
    ] {
        refused(&hewn(args), 2, "the prompt is empty");
    }
    refused(&hewn(&["run", "hello", "--pack", "wait"]), 2, "no packed file");
}

#[test]
fn other_commands_take_it_too() {
    let talk = hewn_with(&[&["chat"], &SHORT[..]].concat(), "12 + 5\n").ok();
    told(&talk);
    assert_eq!(talk.out, hewn_with(&[&["chat", FILE], &SHORT[..]].concat(), "12 + 5\n").ok().out);
    assert!(hewn_with(&["chat", "-q", "-n", "3"], "12 + 5\n").ok().err.is_empty());

    let dir = folder();
    let file = dir.path().join("q.jsonl");
    std::fs::write(&file, "{\"prompt\": \"12 + 5\", \"answer\": \"x\"}").unwrap();
    let args = ["--tasks", arg(&file), "-n", "12", "--show-wrong"];
    let done = hewn(&[&["eval"], &args[..]].concat()).ok();
    told(&done);
    assert_eq!(done.out, hewn(&[&["eval", FILE], &args[..]].concat()).ok().out);

    let text = dir.path().join("text");
    std::fs::write(&text, "12 + 5 ".repeat(60)).unwrap();
    let perplexity = ["perplexity", "-f", arg(&text), "--ctx", "32"];
    let logits = ["logits", "--tokens", "1,2", "-o", "-"];
    for args in [&perplexity[..], &logits] {
        told(&hewn(args).ok());
        assert_eq!(hewn(&[args, &["-q"]].concat()).ok().err, "");
    }

    let shown = |more: &[&str]| {
        let text = hewn(&[&["inspect"], more].concat()).ok().text().to_owned();
        text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(shown(&[]), shown(&[FILE]));
    assert_eq!(shown(&["--no-mmap"]), shown(&[FILE]));
}
