//! Help, completions, manual pages.

use crate::support::{TINY, arg, command, finish, folder, hewn};

const SUBCOMMANDS: [&str; 15] = [
    "run",
    "chat",
    "tokenize",
    "logits",
    "perplexity",
    "eval",
    "inspect",
    "quantize",
    "pack",
    "cache",
    "bench",
    "cpu",
    "roofline",
    "completions",
    "man",
];

#[test]
fn every_subcommand_explains_itself() {
    let all = hewn(&["--help"]).ok();
    for name in SUBCOMMANDS {
        assert!(all.text().contains(&format!("\n  {name}")), "{name}");
        let help = hewn(&[name, "--help"]).ok();
        assert!(help.text().contains(&format!("Usage: hewn {name}")), "{}", help.text());
        assert!(!help.text().contains('\u{1b}') && help.err.is_empty());
    }
    for word in ["HEWN_CACHE_DIR", "HEWN_CACHE_LIMIT", "TMPDIR", "Exit codes"] {
        assert!(all.text().contains(word) && hewn(&["man"]).ok().text().contains(word), "{word}");
    }
    let version = hewn(&["--version"]).ok();
    assert_eq!(version.text(), concat!("hewn ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn completions_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = hewn(&["completions", shell]).ok();
        for word in ["hewn", "tokenize", "think-budget"] {
            assert!(script.text().contains(word), "{shell} lacks {word}");
        }
    }
}

#[test]
fn manual_pages() {
    let page = hewn(&["man"]).ok();
    assert!(page.text().contains(".TH hewn 1") && page.text().contains(".SH NAME"));
    let dir = folder();
    hewn(&["man", "--dir", arg(dir.path())]).ok();
    for name in SUBCOMMANDS {
        let page = std::fs::read_to_string(dir.path().join(format!("hewn-{name}.1"))).unwrap();
        assert!(page.contains(".SH SYNOPSIS"), "{name}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn paths_need_not_be_text() {
    use std::os::unix::ffi::OsStrExt;
    let dir = folder();
    let odd = dir.path().join(std::ffi::OsStr::from_bytes(b"odd-\xff"));
    std::fs::create_dir(&odd).unwrap();
    std::fs::copy(TINY, odd.join("m.gguf")).unwrap();
    let run = |args: &[&str]| finish(command(args).env("HEWN_CACHE_DIR", &odd).current_dir(&odd), None).ok();
    run(&["pack", "m.gguf", "-o", "a.hewnpack"]);
    run(&["run", "m.gguf", "x", "-n", "1", "--pack", "wait"]);
    let list = run(&["cache", "list", "--json"]).json();
    for shown in
        [&list["dir"], &list["files"][0]["path"], &run(&["inspect", "m.gguf", "--json"]).json()["packed"][0]["path"]]
    {
        assert!(shown.as_str().unwrap().contains("odd-\u{fffd}"), "{shown}");
    }
    let whole = hewn_loader::Gguf::open(std::path::Path::new(TINY), &hewn_loader::OpenOptions::default()).unwrap();
    let parts = hewn_loader::write_split(&whole, &odd.join("s.gguf"), 2).unwrap();
    let json = finish(command(&["inspect", "--json"]).arg(&parts[0]), None).ok().json();
    assert!(json["parts"][1]["path"].as_str().unwrap().contains("odd-\u{fffd}"), "{json}");
}
