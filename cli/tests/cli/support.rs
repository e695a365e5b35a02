//! Running the binary, and small models for it.

use hewn_loader::{Gguf, GgufWriter, MetaValue, OpenOptions, Value};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The random-weight model that the project carries: `qwen2`, 273 tokens, 512 positions, a ChatML template.
pub const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/tiny-random.gguf");
/// Its vocabulary.
pub const VOCAB: usize = 273;

/// What a run left behind.
pub struct Done {
    pub code: Option<i32>,
    pub out: Vec<u8>,
    pub err: String,
}

impl Done {
    /// Standard output, which must be text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.out).expect("standard output is UTF-8")
    }

    /// Standard output as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.out).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.out)))
    }

    /// Passes itself on if it succeeded.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "standard error: {}", self.err);
        self
    }
}

/// A command that the caller's environment does not colour or tune.
pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hewn"));
    for name in ["HEWN_ISA", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "FORCE_COLOR"] {
        command.env_remove(name);
    }
    // Packed files that the user has must not matter, nor come into being.
    command.env_remove("HEWN_CACHE_LIMIT").env("HEWN_CACHE_DIR", concat!(env!("CARGO_TARGET_TMPDIR"), "/no-cache"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs it with nothing on standard input.
pub fn hewn(args: &[&str]) -> Done {
    finish(&mut command(args), None)
}

/// Runs it with a text on standard input.
pub fn hewn_with(args: &[&str], input: &str) -> Done {
    finish(command(args).stdin(Stdio::piped()), Some(input))
}

/// Runs a command to its end.
pub fn finish(command: &mut Command, input: Option<&str>) -> Done {
    let mut child = command.spawn().expect("the binary starts");
    if let Some(input) = input {
        // It may end without reading everything.
        let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
    }
    let output = child.wait_with_output().expect("it ends");
    let err = String::from_utf8(output.stderr).expect("standard error is UTF-8");
    Done { code: output.status.code(), out: output.stdout, err }
}

/// A folder of its own for a test.
pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// A path as an argument.
pub fn arg(path: &Path) -> &str {
    path.to_str().expect("a UTF-8 path")
}

/// A file of the reference material, which a plain clone lacks.
pub fn shared(path: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared").join(path);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: {} is not here", path.display());
    None
}

/// The tiny model with some metadata replaced, or left out (`None`).
pub fn tiny_with(dir: &Path, changes: &[(&str, Option<MetaValue>)]) -> PathBuf {
    let gguf = Gguf::open(Path::new(TINY), &OpenOptions::default()).expect("the tiny model");
    let mut w = GgufWriter::new();
    for (key, value) in gguf.metadata().iter() {
        match changes.iter().find(|(k, _)| *k == key) {
            Some((_, change)) => change.iter().for_each(|v| w.meta(key, v.clone()).expect("metadata")),
            None => w.meta(key, copy(&value)).expect("metadata"),
        }
    }
    for (key, value) in changes.iter().filter(|(k, _)| !gguf.metadata().contains(k)) {
        value.iter().for_each(|v| w.meta(key, v.clone()).expect("metadata"));
    }
    for t in gguf.tensors() {
        w.tensor(&t.name, &t.dims, Some(t.dtype)).expect("a tensor");
    }
    let path = dir.join("changed.gguf");
    let mut out = BufWriter::new(File::create(&path).expect("a new file"));
    w.write_to(&mut out, gguf.tensors().iter().map(|t| gguf.tensor_data(t))).expect("written");
    out.flush().expect("written");
    path
}

/// The tiny model behind a template that opens the reasoning itself.
pub fn thinking(dir: &Path) -> PathBuf {
    let template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant: <think>\n";
    tiny_with(dir, &[("tokenizer.chat_template", Some(MetaValue::Str(template.into())))])
}

/// The tiny model without a template, though with the marks of one in its vocabulary.
pub fn without_template(dir: &Path) -> PathBuf {
    tiny_with(dir, &[("tokenizer.chat_template", None)])
}

/// The tiny model with neither.
pub fn plain(dir: &Path) -> PathBuf {
    let gguf = Gguf::open(Path::new(TINY), &OpenOptions::default()).expect("the tiny model");
    let tokens = gguf.metadata().array("tokenizer.ggml.tokens").expect("strings").expect("a vocabulary");
    let rename = |t: &[u8]| if t == b"<|im_start|>" { b"<|mark|>".to_vec() } else { t.to_vec() };
    let tokens = tokens.strings().expect("strings").map(|t| MetaValue::Bytes(rename(t))).collect();
    let tokens = Some(MetaValue::Array(tokens));
    tiny_with(dir, &[("tokenizer.chat_template", None), ("tokenizer.ggml.tokens", tokens)])
}

fn copy(value: &Value<'_>) -> MetaValue {
    match value {
        Value::U8(v) => MetaValue::U8(*v),
        Value::I8(v) => MetaValue::I8(*v),
        Value::U16(v) => MetaValue::U16(*v),
        Value::I16(v) => MetaValue::I16(*v),
        Value::U32(v) => MetaValue::U32(*v),
        Value::I32(v) => MetaValue::I32(*v),
        Value::F32(v) => MetaValue::F32(*v),
        Value::Bool(v) => MetaValue::Bool(*v),
        Value::Str(v) => MetaValue::Bytes(v.to_vec()),
        Value::Array(a) => MetaValue::Array(a.iter().map(|v| copy(&v)).collect()),
        Value::U64(v) => MetaValue::U64(*v),
        Value::I64(v) => MetaValue::I64(*v),
        Value::F64(v) => MetaValue::F64(*v),
    }
}

/// The program refused: nothing but one line with the cause and one with a hint.
#[track_caller]
pub fn refused(done: &Done, code: i32, cause: &str) {
    let lines: Vec<&str> = done.err.lines().collect();
    assert!(done.code == Some(code) && lines.len() == 2 && done.out.is_empty(), "{}", done.err);
    assert!(
        lines[0].starts_with("error: ") && lines[0].contains(cause) && lines[1].starts_with("hint: "),
        "{}",
        done.err
    );
}
