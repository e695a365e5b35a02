//! `hewn pack`, `hewn cache`, `--pack`, and what `hewn inspect` says of packed files.

use crate::support::{Done, TINY, VOCAB, arg, command, finish, folder, hewn};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder with the tiny model, and commands whose cache is in it.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let dir = folder();
        std::fs::copy(TINY, dir.path().join("tiny.gguf")).unwrap();
        Self(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut c = command(args);
        c.env("HEWN_CACHE_DIR", self.path("cache")).current_dir(self.0.path());
        c
    }

    fn hewn(&self, args: &[&str]) -> Done {
        finish(&mut self.command(args), None)
    }

    /// The bytes of some logits.
    fn logits(&self, more: &[&str]) -> (Done, Vec<u8>) {
        let out = self.path("out.f32");
        let done = self.hewn(&[&["logits", "tiny.gguf", "--tokens", "3,14,15,92,65", "-o", arg(&out)], more].concat());
        let bytes = std::fs::read(&out).unwrap_or_default();
        let _ = std::fs::remove_file(&out);
        (done, bytes)
    }

    fn cached(&self) -> Vec<PathBuf> {
        self.path("cache").read_dir().map_or(vec![], |d| d.map(|f| f.unwrap().path()).collect())
    }
}

fn warnings(done: &Done) -> usize {
    done.err.lines().filter(|l| l.starts_with("warning: ")).count()
}

#[test]
fn packing_beside_the_model() {
    let p = Place::new();
    let done = p.hewn(&["pack", "tiny.gguf"]).ok();
    let pack = p.path("tiny.gguf.hewnpack");
    assert!(done.out.is_empty() && done.err.contains("packed ") && done.err.lines().count() == 1, "{}", done.err);
    let first = std::fs::read(&pack).unwrap();
    assert!(p.hewn(&["pack", "tiny.gguf"]).ok().err.contains("there is a valid one"));
    assert!(p.hewn(&["pack", "tiny.gguf", "--force"]).ok().err.contains("packed "));
    assert!(p.hewn(&["pack", "tiny.gguf", "-o", "other.hewnpack"]).ok().err.contains("other.hewnpack"));
    assert!(std::fs::read(&pack).unwrap() == first && std::fs::read(p.path("other.hewnpack")).unwrap() == first);
    assert!(p.cached().is_empty() && !p.path("tiny.gguf.hewnpack.partial").exists());
}

#[test]
fn a_damaged_one_is_told_of_and_made_again() {
    let p = Place::new();
    p.hewn(&["pack", "tiny.gguf"]).ok();
    let pack = p.path("tiny.gguf.hewnpack");
    let whole = std::fs::read(&pack).unwrap();
    let mut bytes = whole.clone();
    *bytes.last_mut().unwrap() ^= 1;
    for bad in [&bytes[..], &whole[..whole.len() - 1], &whole[..100]] {
        std::fs::write(&pack, bad).unwrap();
        let (done, got) = p.logits(&["--pack", "wait"]);
        assert_eq!((warnings(&done), got.len()), (1, 5 * VOCAB * 4), "{}", done.ok().err);
        let done = p.hewn(&["pack", "tiny.gguf"]).ok();
        assert!(warnings(&done) == 1 && done.err.contains("packed "), "{}", done.err);
        assert!(std::fs::read(&pack).unwrap() == whole);
    }
}

#[test]
fn nothing_else_is_overwritten() {
    let p = Place::new();
    std::fs::write(p.path("notes"), "not a packed file").unwrap();
    for args in [&["pack", "tiny.gguf", "-o", "notes"][..], &["pack", "tiny.gguf", "-o", "notes", "--force"]] {
        let done = p.hewn(args);
        assert!(done.code == Some(1) && done.err.contains("notes is not a packed file"), "{}", done.err);
        assert_eq!(done.err.lines().count(), 2);
    }
    assert_eq!(std::fs::read(p.path("notes")).unwrap(), b"not a packed file");
    let done = p.hewn(&["pack", "tiny.gguf", "-o", "no/such/folder"]);
    assert!(done.code == Some(1) && done.err.lines().count() == 2, "{}", done.err);
    let done = p.hewn(&["pack", "missing.gguf"]);
    assert!(done.code == Some(1) && done.err.contains("missing.gguf"), "{}", done.err);
}

#[test]
fn what_is_no_packed_file_in_the_cache_is_replaced() {
    let p = Place::new();
    let (done, want) = p.logits(&["--pack", "wait"]);
    done.ok();
    let cached = p.cached().remove(0);
    let whole = std::fs::read(&cached).unwrap();
    for bad in ["", "x", "something else that is long enough"] {
        std::fs::write(&cached, bad).unwrap();
        let (done, got) = p.logits(&["--pack", "wait"]);
        assert!(warnings(&done) == 1 && got == want, "{bad:?}: {}", done.ok().err);
        assert!(std::fs::read(&cached).unwrap() == whole, "{bad:?}");
        assert_eq!(warnings(&p.logits(&["--pack", "wait"]).0), 0);
    }
    // Elsewhere the name may be anybody's; an empty file has nothing to lose.
    std::fs::write(p.path("tiny.gguf.hewnpack"), "").unwrap();
    p.hewn(&["pack", "tiny.gguf"]).ok();
    assert!(std::fs::read(p.path("tiny.gguf.hewnpack")).unwrap() == whole);
}

#[test]
fn the_same_bits_with_and_without() {
    let p = Place::new();
    let (done, want) = p.logits(&["--pack", "off"]);
    done.ok();
    assert_eq!(want.len(), 5 * VOCAB * 4);
    for more in [&["--pack", "wait"][..], &["--pack", "wait", "--no-mmap"], &["--pack", "auto"], &[]] {
        let (done, got) = p.logits(more);
        assert!(got == want && warnings(&done) == 0, "{more:?}: {}", done.ok().err);
    }
    assert_eq!(p.cached().len(), 1);
}

#[test]
fn small_models_are_not_packed_unasked() {
    let p = Place::new();
    p.logits(&[]).0.ok();
    p.logits(&["--no-mmap"]).0.ok();
    p.hewn(&["run", "tiny.gguf", "hello", "-n", "4"]).ok();
    assert!(p.cached().is_empty() && !p.path("tiny.gguf.hewnpack").exists());
    let done = p.hewn(&["run", "tiny.gguf", "hello", "-n", "4", "--pack", "wait", "--seed", "1"]).ok();
    assert_eq!(p.cached().len(), 1);
    let plain = p.hewn(&["run", "tiny.gguf", "hello", "-n", "4", "--pack", "off", "--seed", "1"]).ok();
    assert_eq!(done.out, plain.out);
}

#[test]
fn no_room_is_an_error_where_it_was_asked_for() {
    let p = Place::new();
    let run = |limit: &str| {
        finish(p.command(&["run", "tiny.gguf", "x", "-n", "2", "--pack", "wait"]).env("HEWN_CACHE_LIMIT", limit), None)
    };
    let done = run("1K");
    assert!(done.code == Some(1) && done.err.contains("limit") && done.err.lines().count() == 2, "{}", done.err);
    let done = run("much");
    assert!(done.code == Some(2) && done.err.contains("HEWN_CACHE_LIMIT"), "{}", done.err);
    run("1M").ok();
    std::fs::write(p.path("file"), "").unwrap();
    let mut c = p.command(&["run", "tiny.gguf", "x", "-n", "2", "--pack", "wait"]);
    let done = finish(c.env("HEWN_CACHE_DIR", p.path("file")), None);
    assert!(done.code == Some(1) && done.err.lines().count() == 2, "{}", done.err);
}

#[test]
fn the_cache_is_listed_and_cleared() {
    let p = Place::new();
    let done = p.hewn(&["cache", "list"]).ok();
    assert!(done.out.is_empty() && done.err.contains("cache"), "{}", done.err);
    assert!(p.hewn(&["cache", "clear"]).ok().err.contains("removed 0 files"));
    p.logits(&["--pack", "wait"]).0.ok();
    let v = p.hewn(&["cache", "list", "--json"]).ok().json();
    let file = &v["files"][0];
    assert_eq!((v["files"].as_array().unwrap().len(), file["model"].as_str()), (1, Some("tiny.gguf")));
    assert_eq!((file["complete"].as_bool(), file["busy"].as_bool()), (Some(true), Some(false)));
    assert_eq!((v["bytes"].clone(), v["limit"].as_u64()), (file["bytes"].clone(), Some(32 << 30)));
    let name = file["name"].as_str().unwrap().to_owned();
    assert!(Path::new(file["path"].as_str().unwrap()).ends_with(&name));
    let text = p.hewn(&["cache", "list"]).ok();
    assert!(text.text().contains(&name) && text.text().contains("tiny.gguf"), "{}", text.text());
    let done = p.hewn(&["cache", "clear", "nothing"]);
    assert!(done.code == Some(1) && done.err.contains("nothing") && p.cached().len() == 1, "{}", done.err);
    for by in [name.as_str(), "tiny.gguf"] {
        p.logits(&["--pack", "wait"]).0.ok();
        assert!(p.hewn(&["cache", "clear", by]).ok().err.contains("removed 1 file,"));
        assert!(p.cached().is_empty());
    }
}

#[test]
fn inspect_knows_the_packed_files() {
    let p = Place::new();
    assert!(p.hewn(&["inspect", "tiny.gguf"]).ok().text().contains("packed file     none"));
    let packs = || p.hewn(&["inspect", "tiny.gguf", "--json"]).ok().json()["packed"].clone();
    assert_eq!(packs(), serde_json::json!([]));
    p.hewn(&["pack", "tiny.gguf"]).ok();
    p.logits(&["--pack", "wait"]).0.ok();
    let v = packs();
    let size = std::fs::metadata(p.path("tiny.gguf.hewnpack")).unwrap().len();
    assert_eq!(
        (v.as_array().unwrap().len(), v[0]["state"].as_str(), v[0]["bytes"].as_u64()),
        (1, Some("ready"), Some(size))
    );
    assert!(v[0]["path"].as_str().unwrap().ends_with("tiny.gguf.hewnpack"));
    std::fs::write(p.path("tiny.gguf.hewnpack"), "HEWNPACK").unwrap();
    let v = packs();
    assert!(v[0]["state"] == "bad" && v[0]["reason"].as_str().unwrap().contains("damaged"), "{v}");
    assert!(p.hewn(&["inspect", "tiny.gguf"]).ok().text().contains("not used (it is damaged"));
    p.logits(&["--pack", "wait"]).0.ok();
    assert_eq!((packs()[1]["state"].as_str(), p.cached().len()), (Some("ready"), 1));
}

#[test]
fn processes_that_start_together_make_one_file() {
    let p = Place::new();
    let (_, want) = p.logits(&["--pack", "off"]);
    for round in 0..5 {
        let outs: Vec<PathBuf> = (0..4).map(|i| p.path(&format!("{round}-{i}.f32"))).collect();
        let run = |out: &PathBuf| {
            let args = ["logits", "tiny.gguf", "--tokens", "3,14,15,92,65", "--pack", "wait", "-o", arg(out)];
            p.command(&args).spawn().unwrap()
        };
        let children: Vec<_> = outs.iter().map(run).collect();
        for child in children {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        assert!(outs.iter().all(|o| std::fs::read(o).unwrap() == want));
        assert!(p.cached().len() == 1 && p.cached()[0].extension().unwrap() == "hewnpack", "{:?}", p.cached());
        p.hewn(&["cache", "clear"]).ok();
    }
}

#[test]
fn a_wrong_mode_is_wrong_usage() {
    let done = hewn(&["run", TINY, "x", "--pack", "sometimes"]);
    assert!(done.code == Some(2) && done.out.is_empty());
}
