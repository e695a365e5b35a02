//! `--prompt-cache FILE`: what reading a prompt left behind, for the next run whose prompt begins alike.

use crate::args::RunArgs;
use crate::errors::CliError;
use crate::outfile::{OutputFile, parts};
use crate::output::note;
use crate::setup;
use hewn_engine::{EngineError, Runner, SAVED_SEQUENCE, Sequence, SequenceOptions};
use std::fs::File;
use std::io::{BufReader, BufWriter, ErrorKind, Read, Seek, Write};
use std::path::Path;

/// Why the file cannot be standard output.
const TAKEN: &str = "where the answer goes";

/// Bytes that are written at a time.
const PIECE: usize = 1 << 20;

/// The file, where there is to be one.
pub struct PromptCache {
    /// Nothing where it is only read.
    out: Option<OutputFile>,
    /// The tokens that it holds.
    held: Vec<u32>,
}

impl PromptCache {
    /// The sequence to begin with: what the file holds, or an empty one. What does not fit the model is told, and written anew
    /// in the end.
    ///
    /// # Errors
    /// The file is something else, or cannot be read or written.
    pub fn open(a: &RunArgs, runner: &Runner) -> Result<(Self, Sequence), CliError> {
        let Some(path) = &a.prompt_cache else {
            return Ok((Self { out: None, held: Vec::new() }, setup::sequence(runner, &a.model, &a.generate)?));
        };
        Sequence::check_saving(runner.model())?;
        let out = if a.prompt_cache_ro { None } else { Some(OutputFile::open(path, TAKEN)?) };
        if let Some(out) = &out {
            out.must_not_be(parts(runner.model().gguf()))?;
        }
        let held = match File::open(path) {
            Ok(file) => held(a, runner, path, file)?,
            Err(e) if e.kind() == ErrorKind::NotFound && out.is_some() => None,
            Err(e) => return Err(CliError::file("read", path, &e)),
        };
        let seq = match held {
            Some(seq) => seq,
            None => setup::sequence(runner, &a.model, &a.generate)?,
        };
        Ok((Self { out, held: seq.tokens().to_vec() }, seq))
    }

    /// Writes what the first `prompt` tokens of `seq` left behind, where it is not in the file already. The sequence goes back to
    /// them.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn keep(self, runner: &Runner, seq: &mut Sequence, prompt: usize) -> Result<(), CliError> {
        let Some(mut out) = self.out else { return Ok(()) };
        seq.truncate(prompt);
        if seq.is_empty() || seq.tokens() == self.held {
            return Ok(());
        }
        let fail = out.fail();
        let mut buffered = BufWriter::with_capacity(PIECE, &mut out);
        seq.save(runner.model(), &mut buffered)?;
        buffered.flush().map_err(|e| fail(&e))?;
        drop(buffered);
        out.keep()
    }
}

/// The sequence in the file; nothing where it is of another model or damaged.
fn held(a: &RunArgs, runner: &Runner, path: &Path, mut file: File) -> Result<Option<Sequence>, CliError> {
    let fail = |e: &std::io::Error| CliError::file("read", path, e);
    let mut first = Vec::new();
    (&mut file).take(SAVED_SEQUENCE.len() as u64).read_to_end(&mut first).map_err(|e| fail(&e))?;
    if first.is_empty() && !a.prompt_cache_ro {
        return Ok(None);
    }
    if first != SAVED_SEQUENCE {
        let cause = format!("{} is no prompt cache", path.display());
        return Err(CliError::usage(cause, "name another file; what is there would be replaced"));
    }
    file.rewind().map_err(|e| fail(&e))?;
    let options = SequenceOptions { ctx: a.generate.ctx, kv: a.model.kv.into() };
    match Sequence::restore(runner.model(), &options, &mut BufReader::new(file)) {
        Ok(seq) => Ok(Some(seq)),
        Err(EngineError::Saved { reason }) => {
            note(&format!("the prompt cache {} is not used: {reason}", path.display()));
            Ok(None)
        }
        Err(e) => Err(e.into()),
    }
}
