//! Help, completions, manual pages.

use crate::support::{arg, folder, hewn};

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
