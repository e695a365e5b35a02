//! The model in the program, and when it is meant.

use crate::args::{ModelArgs, RunArgs};
use crate::errors::CliError;
use crate::output::note;
use hewn_engine::loader::{Gguf, LoadError};
use hewn_engine::{Model, PackMode};
use std::fs::File;
use std::io::Read;
use std::path::{Path, is_separator};

/// Kernels read weights fastest from multiples of 64 bytes.
#[repr(C, align(64))]
struct Aligned<T: ?Sized>(T);

/// `models/hewn-tiny.gguf`, as it is in the repository: see `models/README.md`.
static FILE: &Aligned<[u8]> =
    &Aligned(*include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../models/hewn-tiny.gguf")));

/// What it is called where a path would be.
pub const NAME: &str = "hewn-tiny, bundled";

/// The file in the program, or a copy of it in memory.
pub fn gguf(copy: bool) -> Result<Gguf, LoadError> {
    if copy { Gguf::from_bytes(FILE.0.to_vec()) } else { Gguf::from_static(&FILE.0) }
}

/// The model in the program, opened as the options ask.
pub fn open(a: &ModelArgs) -> Result<Model, CliError> {
    if PackMode::from(a.pack) == PackMode::Wait {
        return Err(CliError::usage(
            "the bundled model has no packed file, and is too small to need one",
            "leave out --pack",
        ));
    }
    Ok(a.change.open(gguf(a.no_mmap)?, !a.no_mmap)?)
}

/// Says that it is in use, and which files do more.
pub fn tell() {
    note(
        "using the bundled model hewn-tiny, which does small sums and letter games. For more, get a GGUF file from \
         huggingface.co and name it before the prompt: bartowski/DeepSeek-R1-Distill-Qwen-1.5B-GGUF has \
         DeepSeek-R1-Distill-Qwen-1.5B-Q4_K_M.gguf (1.1 GB; needs 1.5 GB of memory), likewise \
         DeepSeek-R1-Distill-Qwen-7B-Q4_K_M.gguf (4.7 GB; 5.5 GB) and DeepSeek-R1-Distill-Llama-8B-Q4_K_M.gguf \
         (4.9 GB; 6 GB)",
    );
}

/// The model's name for JSON.
pub fn name(path: Option<&Path>) -> String {
    path.map_or_else(|| NAME.to_owned(), |p| p.display().to_string())
}

/// The command line of `hewn run` with its one positional argument, where it is a prompt, in the place of the prompt.
pub fn sort_out(a: &mut RunArgs) {
    if is_alone(a)
        && let Some(only) = &a.model.model
        && !means_model(only)
    {
        // What is not UTF-8 is no prompt; opening it tells.
        a.prompt = only.to_str().map(str::to_owned);
        if a.prompt.is_some() {
            a.model.model = None;
        }
    }
}

/// Whether the one positional argument may be a prompt as well as a model.
fn is_alone(a: &RunArgs) -> bool {
    a.prompt.is_none() && a.ask.is_none() && a.file.is_none()
}

/// What an error about the model should say too, where its argument was perhaps meant as a prompt: it is no model's file.
pub fn perhaps_a_prompt(a: &RunArgs) -> Option<String> {
    let arg = a.model.model.as_ref().filter(|_| is_alone(a))?;
    let mut magic = [0; 4];
    let read = File::open(arg).and_then(|mut f| f.metadata()?.is_file().then(|| f.read_exact(&mut magic)).transpose());
    (!matches!(read, Ok(Some(()))) || magic != *b"GGUF")
        .then(|| format!("if `{}` is a prompt, write -p in front of it: hewn run -p TEXT", arg.display()))
}

/// Whether an argument that may be a model or a prompt is the model: a file that exists, or what reads like the path of
/// one, so that a mistyped path is an error and not a prompt.
fn means_model(arg: &Path) -> bool {
    let Some(text) = arg.to_str() else { return true };
    if text == "-" {
        return false;
    }
    let ending = text.len().checked_sub(5).and_then(|at| text.get(at..));
    let path = text.contains(is_separator) && !text.contains(char::is_whitespace);
    // `84/7` is a sum.
    ending.is_some_and(|e| e.eq_ignore_ascii_case(".gguf"))
        || path && text.contains(char::is_alphabetic)
        || arg.symlink_metadata().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_models_and_everything_else_is_a_prompt() {
        for model in [
            "no-such.gguf",
            "My Model.GGUF",
            "no/such/file",
            "/no/such/file.bin",
            "./model",
            env!("CARGO_MANIFEST_DIR"),
            concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
        ] {
            assert!(means_model(Path::new(model)), "{model}");
        }
        for prompt in [
            "How many r are in strawberry?",
            "hello",
            "84/7",
            "12 + 5/3",
            "and/or, which?",
            "-",
            "",
            "a gguf",
            "gguf",
            "é.ggu",
        ] {
            assert!(!means_model(Path::new(prompt)), "{prompt}");
        }
    }

    #[test]
    fn the_bundled_model_lies_where_kernels_want_it() {
        let gguf = gguf(false).unwrap();
        assert_eq!(FILE.0.as_ptr() as usize % 64, 0);
        assert!(!gguf.tensors().is_empty() && gguf.file_len() <= 4 << 20, "{} bytes", gguf.file_len());
    }
}
