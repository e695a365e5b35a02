//! Failures: two lines on standard error, nothing on standard output, 1 for what went wrong and 2 for wrong usage.

use crate::support::{Done, TINY, arg, command, finish, folder, hewn, hewn_with, plain, tiny_with};
use hewn_loader::{Gguf, GgufWriter, MetaValue, OpenOptions};
use std::path::Path;

#[track_caller]
fn two_lines(done: &Done, code: i32, cause: &str) {
    let lines: Vec<&str> = done.err.lines().collect();
    assert_eq!(done.code, Some(code), "{}", done.err);
    assert_eq!(lines.len(), 2, "{}", done.err);
    assert!(lines[0].starts_with("error: ") && lines[0].contains(cause), "expected `{cause}`: {}", done.err);
    assert!(lines[1].strip_prefix("hint: ").is_some_and(|hint| !hint.trim().is_empty()), "{}", done.err);
    assert!(done.out.is_empty(), "{}", String::from_utf8_lossy(&done.out));
}

#[test]
fn files_that_are_missing_or_no_models() {
    let not_gguf = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    for subcommand in [vec!["run"], vec!["chat"], vec!["tokenize"], vec!["inspect"]] {
        for (path, cause) in [("no/such/file.gguf", "no/such/file.gguf"), (not_gguf, "not a GGUF file")] {
            let mut args = subcommand.clone();
            args.push(path);
            if args[0] == "run" || args[0] == "tokenize" {
                args.push("text");
            }
            two_lines(&hewn(&args), 1, cause);
        }
    }
    let dir = folder();
    let out = dir.path().join("out.f32");
    two_lines(&hewn(&["logits", "no/such/file.gguf", "--tokens", "1", "-o", arg(&out)]), 1, "no/such/file.gguf");
    assert!(!out.exists() && dir.path().read_dir().unwrap().next().is_none(), "a failed run leaves nothing behind");
}

#[test]
fn files_that_are_cut_off() {
    let whole = std::fs::read(TINY).unwrap();
    let dir = folder();
    let path = dir.path().join("cut.gguf");
    for len in [0, 3, 4, 12, 23, 24, 200, 3000, 6000, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..len]).unwrap();
        for args in [vec!["run", arg(&path), "text"], vec!["run", arg(&path), "text", "--no-mmap"]] {
            two_lines(&hewn(&args), 1, "");
        }
        two_lines(&hewn(&["inspect", arg(&path)]), 1, "");
    }
}

#[test]
fn options_out_of_range() {
    let cases: [(&[&str], &str); 10] = [
        (&["--isa", "mmx"], "mmx"),
        (&["--temp", "-1"], "temperature"),
        (&["--temp", "nan"], "temperature"),
        (&["--top-p", "-0.5"], "top"),
        (&["--min-p", "1.5"], "min"),
        (&["--repeat-penalty", "0"], "repeat"),
        (&["--repeat-penalty", "inf"], "it must be a finite number above 0"),
        (&["--temp", "inf"], "it must be a finite number, 0 or more"),
        (&["--ctx", "513"], "512"),
        (&["--ctx", "0"], "512"),
    ];
    for (options, cause) in cases {
        let args = [&["run", TINY, "text"], options].concat();
        let done = hewn(&args);
        two_lines(&done, 2, cause);
        assert!(!done.err.contains("--help"), "which has no ranges");
    }
    let quantize = ["quantize", TINY, "-", "--type", "F16", "--allow-requantize"];
    for args in [&["run", TINY, "text"][..], &quantize, &["roofline"], &["bench", TINY]] {
        two_lines(&finish(command(args).env("HEWN_ISA", "mmx"), None), 2, "mmx");
    }
}

#[test]
fn command_lines_that_make_no_sense() {
    for args in [
        vec![],
        vec!["nonsense"],
        vec!["run"],
        vec!["run", TINY, "text", "--nonsense"],
        vec!["run", TINY, "text", "-f", "file"],
        vec!["run", TINY, "text", "--raw", "--system", "be brief"],
        vec!["run", TINY, "text", "--raw", "--think", "hide"],
        vec!["bench", TINY, "--quant", "q4_0"],
        vec!["profile", TINY, "--quant", "q4_0"],
        vec!["run", TINY, "text", "--threads", "0"],
        vec!["run", TINY, "text", "--threads", "1000000"],
        vec!["run", TINY, "text", "--chunk", "0"],
        vec!["run", TINY, "text", "--kv", "q8"],
        vec!["run", TINY, "text", "--think", "loudly"],
        vec!["run", TINY, "text", "--logit-bias", "12"],
        vec!["run", TINY, "text", "-n", "-1"],
        vec!["tokenize", TINY, "text", "--ids", "--json"],
        vec!["logits", TINY, "-o", "x"],
        vec!["logits", TINY, "--tokens", "1,a", "-o", "x"],
        vec!["completions", "tcl"],
    ] {
        let done = hewn(&args);
        assert_eq!(done.code, Some(2), "{args:?}: {}", done.err);
        assert!(done.out.is_empty() && !done.err.is_empty(), "{args:?}");
    }
}

#[test]
fn prompts_that_do_not_fit() {
    let long = "word ".repeat(400);
    two_lines(&hewn(&["run", TINY, &long, "--raw"]), 1, "512");
    two_lines(&hewn(&["run", TINY, "", "--raw"]), 2, "the prompt is empty");
    two_lines(&hewn(&["run", TINY, "-f", "no/such/prompt.txt"]), 1, "no/such/prompt.txt");
}

#[test]
fn texts_without_end_are_refused() {
    let dir = folder();
    let long = dir.path().join("long");
    // Sparse: the length alone is enough.
    std::fs::File::create(&long).unwrap().set_len((64 << 20) + 1).unwrap();
    for subcommand in ["run", "tokenize"] {
        two_lines(&hewn(&[subcommand, TINY, "-f", arg(&long)]), 1, "longer than 64 MiB");
    }
    let chat = hewn_with(&["chat", TINY, "-q"], &format!("/load {}\n", long.display()));
    two_lines(&chat, 1, "longer than 64 MiB");
    if cfg!(unix) {
        two_lines(&hewn(&["tokenize", TINY, "-f", "/dev/zero"]), 1, "longer than 64 MiB");
    }
    std::fs::write(&long, b"\xff").unwrap();
    two_lines(&hewn(&["tokenize", TINY, "-f", arg(&long)]), 1, "not text");
}

#[test]
fn models_without_a_template() {
    let dir = folder();
    let model = plain(dir.path());
    two_lines(&hewn(&["chat", arg(&model)]), 1, "no chat template");
    two_lines(&hewn(&["run", arg(&model), "text", "--system", "be brief"]), 2, "no chat template");
    let done = hewn(&["run", arg(&model), "text", "-n", "2", "-q"]).ok();
    assert!(done.text().starts_with("text") && done.err.contains("no chat template"), "{}", done.err);
}

#[test]
fn outputs_that_cannot_be_written_are_found_before_the_run() {
    let dir = folder();
    // The model does not exist either: the output is looked at first.
    for out in [dir.path().join("no/such/folder/out.f32"), dir.path().to_owned()] {
        two_lines(&hewn(&["logits", "no.gguf", "--tokens", "1", "-o", arg(&out)]), 1, "cannot write");
    }
    let not_a_folder = dir.path().join("file");
    std::fs::write(&not_a_folder, "").unwrap();
    two_lines(&hewn(&["man", "--dir", arg(&not_a_folder.join("man"))]), 1, "cannot write");
}

#[test]
fn tokens_that_the_model_does_not_know() {
    let dir = folder();
    let out = dir.path().join("out.f32");
    two_lines(&hewn(&["logits", TINY, "--tokens", "1,273", "-o", arg(&out)]), 1, "273");
    assert!(!out.exists());
}

#[test]
fn what_a_file_says_does_not_drive_the_terminal() {
    let dir = folder();
    let text = |s: &str| Some(MetaValue::Str(s.into()));
    let model = tiny_with(dir.path(), &[("general.architecture", text("odd\u{1b}[31m\u{9b}2J"))]);
    let inspect = hewn(&["inspect", arg(&model)]).ok();
    let run = hewn(&["run", arg(&model), "x"]);
    two_lines(&run, 1, "the architecture `odd\u{fffd}[31m\u{fffd}2J` is not supported");
    assert!(inspect.text().contains("odd\u{fffd}[31m") && !inspect.text().contains(['\u{1b}', '\u{9b}']));
    let raises = "{{ raise_exception('no\u{1b}[2J') }}";
    let model = tiny_with(dir.path(), &[("tokenizer.chat_template", text(raises))]);
    two_lines(&hewn(&["run", arg(&model), "x"]), 1, "no\u{fffd}[2J");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_under_standard_error_costs_no_answer() {
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let run = |args: &[&str]| command(args).stderr(full()).output().unwrap();
    let done = run(&["run", TINY, "x", "-n", "3", "--seed", "1"]);
    assert!(done.status.success() && !done.stdout.is_empty());
    assert_eq!(run(&["run", "no.gguf", "x"]).status.code(), Some(1));
}

#[test]
fn a_vocabulary_is_no_model() {
    let dir = folder();
    let path = dir.path().join("vocab.gguf");
    let gguf = Gguf::open(Path::new(TINY), &OpenOptions::default()).unwrap();
    let mut w = GgufWriter::new();
    for key in ["block_count", "context_length", "embedding_length", "feed_forward_length", "attention.head_count"] {
        let key = format!("qwen2.{key}");
        w.meta(&key, MetaValue::U32(gguf.metadata().u32(&key).unwrap().unwrap())).unwrap();
    }
    w.meta("general.architecture", MetaValue::Str("qwen2".into())).unwrap();
    w.meta("qwen2.attention.layer_norm_rms_epsilon", MetaValue::F32(1e-6)).unwrap();
    let tokens = (0..300).map(|i| MetaValue::Str(format!("t{i}"))).collect();
    w.meta("tokenizer.ggml.tokens", MetaValue::Array(tokens)).unwrap();
    w.write_to(&mut std::fs::File::create(&path).unwrap(), []).unwrap();
    two_lines(&hewn(&["run", arg(&path), "x"]), 1, "the file holds a vocabulary only");
}

#[cfg(target_os = "linux")]
#[test]
fn what_helps_follows_from_what_the_system_says() {
    let full = |args: &[&str]| {
        let out = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let done = command(args).stdout(out).output().unwrap();
        (done.status.code(), String::from_utf8(done.stderr).unwrap())
    };
    for args in [
        &["inspect", TINY][..],
        &["logits", TINY, "--tokens", "1", "-o", "-"],
        &["logits", TINY, "--tokens", "1", "-o", "/dev/full"],
    ] {
        let (code, err) = full(args);
        assert!(
            code == Some(1) && err.contains("No space left") && err.contains("hint: make room on the disk"),
            "{err}"
        );
    }
    // No name but the user's.
    let done = hewn(&["logits", TINY, "--tokens", "1", "-o", "/proc/out"]);
    two_lines(&done, 1, "cannot write /proc/out: ");
    assert!(!done.err.contains(".hewn-"), "{}", done.err);
    let bench = finish(command(&["bench", TINY, "-p", "4", "-r", "1"]).env("HEWN_CACHE_DIR", "/proc/nowhere"), None);
    assert!(
        bench.code == Some(1) && bench.err.contains("--layout file") && !bench.err.contains("--pack"),
        "{}",
        bench.err
    );
    let run = finish(command(&["run", TINY, "x", "--pack", "wait"]).env("HEWN_CACHE_DIR", "/proc/nowhere"), None);
    assert!(run.code == Some(1) && run.err.contains("--pack off"), "{}", run.err);
    let list = finish(command(&["cache", "list"]).env("HEWN_CACHE_DIR", TINY), None);
    assert!(list.code == Some(1) && !list.err.contains("--pack"), "{}", list.err);
}

#[test]
fn more_threads_than_there_are_processors() {
    let cpu = hewn(&["cpu", "--json"]).ok().json();
    let processors = cpu["processors"]["allowed"].as_u64().unwrap();
    let run = |n: u64| hewn(&["run", TINY, "x", "-n", "1", "-q", "-t", &n.to_string()]);
    assert!(run(processors).ok().err.is_empty());
    if processors < 100 {
        two_lines(&run(8 * processors + 1), 2, "threads are far too many for the ");
        // Nor is the bundled model told of before.
        two_lines(&hewn(&["run", "x", "-t", "900"]), 2, "threads are far too many for the ");
        let done = run(processors + 1).ok();
        assert!(done.err.starts_with("warning: ") && done.err.contains("wait for each other"), "{}", done.err);
    }
}
