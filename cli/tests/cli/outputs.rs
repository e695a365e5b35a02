//! Where outputs go: files, pipes, devices, links, standard output, and never over what is read.

use crate::support::{Done, TINY, VOCAB, arg, command, finish, folder, hewn, hewn_with, refused};
use std::path::Path;

const LEN: usize = 2 * VOCAB * 4;

fn logits(model: &str, out: &str) -> Done {
    hewn(&["logits", model, "--tokens", "3,14", "-o", out])
}

fn names(dir: &Path) -> Vec<String> {
    let mut all: Vec<_> = dir.read_dir().unwrap().map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
    all.sort();
    all
}

#[test]
fn a_dash_is_standard_output_where_nothing_else_is_there() {
    let dir = folder();
    let file = dir.path().join("out.f32");
    logits(TINY, arg(&file)).ok();
    let run = |args: &[&str]| finish(command(args).current_dir(dir.path()), None);
    assert!(run(&["logits", TINY, "--tokens", "3,14", "-o", "-"]).ok().out == std::fs::read(&file).unwrap());
    let model = run(&["quantize", TINY, "-", "--type", "F16", "--allow-requantize"]).ok().out;
    assert!(model.starts_with(b"GGUF"));
    refused(&run(&["perplexity", TINY, "-f", TINY, "--save-logits", "-"]), 2, "cannot go to standard output");
    refused(&run(&["pack", TINY, "-o", "-"]), 2, "cannot go to standard output");
    refused(&run(&["profile", TINY, "--html", "-"]), 2, "cannot go to standard output");
    refused(&hewn_with(&["chat", TINY, "-q"], "/save -\n"), 2, "cannot go to standard output");
    assert_eq!(names(dir.path()), ["out.f32"]);
}

#[test]
fn what_is_read_is_not_written_over() {
    let dir = folder();
    let model = dir.path().join("m.gguf");
    std::fs::copy(TINY, &model).unwrap();
    refused(&logits(arg(&model), arg(&model)), 2, "the output is the input");
    let around = dir.path().join("../").join(dir.path().file_name().unwrap()).join("m.gguf");
    refused(&logits(arg(&model), arg(&around)), 2, "the output is the input");
    let talk = hewn_with(&["chat", arg(&model), "-q"], &format!("/save {}\n", arg(&model)));
    refused(&talk, 2, "the output is the input");
    let text = dir.path().join("text");
    std::fs::write(&text, "and ".repeat(600)).unwrap();
    let over =
        |out: &Path| hewn(&["perplexity", arg(&model), "-f", arg(&text), "--ctx", "64", "--save-logits", arg(out)]);
    refused(&over(&text), 2, "the output is the input");
    refused(&over(&model), 2, "the output is the input");
    refused(&hewn(&["profile", arg(&model), "--html", arg(&model)]), 2, "the output is the input");
    assert!(std::fs::read(&model).unwrap() == std::fs::read(TINY).unwrap());
    assert_eq!(names(dir.path()), ["m.gguf", "text"]);
}

#[cfg(unix)]
#[test]
fn links_stay_and_what_they_stand_for_is_written() {
    use std::os::unix::fs::symlink;
    let dir = folder();
    std::fs::create_dir(dir.path().join("far")).unwrap();
    std::fs::write(dir.path().join("far/old"), "old").unwrap();
    for (name, to) in [("old", "far/old"), ("new", "far/new"), ("twice", "new")] {
        let link = dir.path().join(name);
        symlink(to, &link).unwrap();
        logits(TINY, arg(&link)).ok();
        assert_eq!(link.read_link().unwrap(), Path::new(to));
        assert_eq!(link.metadata().unwrap().len() as usize, LEN);
    }
    assert_eq!(names(&dir.path().join("far")), ["new", "old"]);
    let link = dir.path().join("pack");
    symlink("far/pack", &link).unwrap();
    for _ in 0..2 {
        hewn(&["pack", TINY, "-o", arg(&link), "--force"]).ok();
        assert_eq!((link.read_link().unwrap().as_path(), link.exists()), (Path::new("far/pack"), true));
    }
    symlink("round", dir.path().join("round")).unwrap();
    refused(&logits(TINY, arg(&dir.path().join("round"))), 1, "cannot write");
    let model = dir.path().join("model");
    symlink(TINY, &model).unwrap();
    refused(&logits(TINY, arg(&model)), 2, "the output is the input");
}

#[cfg(unix)]
#[test]
fn pipes_and_devices_stay_what_they_are() {
    use std::os::unix::fs::FileTypeExt;
    use std::process::Command;
    let dir = folder();
    let pipe = dir.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || std::fs::read(pipe).unwrap()
    });
    logits(TINY, arg(&pipe)).ok();
    assert_eq!(reader.join().unwrap().len(), LEN);
    assert!(pipe.symlink_metadata().unwrap().file_type().is_fifo());
    // Another /dev/null; making one takes a right that a user lacks.
    let null = dir.path().join("null");
    if Command::new("mknod").arg(&null).args(["c", "1", "3"]).status().unwrap().success() {
        let done = logits(TINY, arg(&null));
        // A file system may be mounted without devices.
        assert!(done.code == Some(0) || done.err.contains("cannot write"), "{}", done.err);
        assert!(null.symlink_metadata().unwrap().file_type().is_char_device());
    }
    assert!(logits(TINY, "/dev/stdout").ok().out.len() == LEN);
}

#[cfg(unix)]
#[test]
fn a_signal_leaves_no_temporary_file() {
    use std::process::Command;
    let dir = folder();
    let (pipe, out) = (dir.path().join("text"), dir.path().join("out"));
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let args = ["perplexity", TINY, "-f", arg(&pipe), "--save-logits", arg(&out)];
    for (signal, code) in [("-INT", 130), ("-TERM", 143), ("-HUP", 129)] {
        // It waits for the text, with its temporary file beside the output.
        let mut child = command(&args).spawn().unwrap();
        while names(dir.path()).len() < 2 {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(code));
        assert_eq!(names(dir.path()), ["text"], "{signal}");
    }
    // What was ignored before, stays so.
    let script = "trap '' HUP; exec \"$0\" \"$@\"";
    let mut child = Command::new("sh").args(["-c", script, env!("CARGO_BIN_EXE_hewn")]).args(args).spawn().unwrap();
    while names(dir.path()).len() < 2 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    for signal in ["-HUP", "-TERM"] {
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let code = child.wait().unwrap().code();
    assert_eq!(code, Some(if cfg!(target_os = "linux") { 143 } else { 129 }));
}
