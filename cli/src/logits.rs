//! `hewn logits`: the raw output of the model, for comparison with other engines.

use crate::args::LogitsArgs;
use crate::errors::CliError;
use crate::outfile::{OutputFile, parts};
use crate::output::{Interrupt, bytes};
use crate::setup;
use hewn_engine::{EngineError, Logits, Sequence, SequenceOptions, Work};
use std::io::{BufWriter, Write};
use std::ops::ControlFlow;

/// Runs the subcommand.
pub fn run(a: &LogitsArgs) -> Result<(), CliError> {
    let interrupt = Interrupt::install()?;
    // An output that cannot be written is an error before the run, not after it.
    let output = OutputFile::stream(&a.output)?;
    let fail = output.fail();
    let mut runner = setup::runner(&a.model, a.quiet)?;
    output.must_not_be(parts(runner.model().gguf()))?;
    let mut file = BufWriter::new(output);
    let mut seq = Sequence::new(runner.model(), &SequenceOptions { ctx: None, kv: a.model.kv.into() })?;
    interrupt.guard(|cancel| -> Result<(), CliError> {
        // One chunk a step: the logits of all positions of a long input would not fit in memory.
        for part in a.tokens.chunks(a.model.chunk as usize) {
            if cancel.is_cancelled() {
                return Err(EngineError::Cancelled.into());
            }
            let work = Work { seq: &mut seq, tokens: part, logits: Logits::All };
            for v in runner.step(&mut [work], &mut |_, _| ControlFlow::Continue(()))? {
                file.write_all(&v.to_le_bytes()).map_err(|e| fail(&e))?;
            }
        }
        Ok(())
    })?;
    file.into_inner().map_err(|e| fail(e.error()))?.keep()?;
    if a.quiet {
        return Ok(());
    }
    let vocab = runner.model().config().vocab;
    let size = (a.tokens.len() * vocab * 4) as u64;
    crate::output::note(&format!("{} positions x {vocab} logits, {}", a.tokens.len(), bytes(size)));
    Ok(())
}
