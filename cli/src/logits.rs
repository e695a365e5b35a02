//! `hewn logits`: the raw output of the model, for comparison with other engines.

use crate::args::LogitsArgs;
use crate::errors::CliError;
use crate::output::{Interrupt, bytes};
use crate::setup;
use hewn_engine::{EngineError, Logits, Sequence, SequenceOptions, Work};
use std::io::{BufWriter, Write};
use std::ops::ControlFlow;

/// Runs the subcommand.
pub fn run(a: &LogitsArgs) -> Result<(), CliError> {
    // An output that cannot be written is an error before the run, not after it.
    let fail = |e: &std::io::Error| CliError::file("write", &a.output, e);
    let mut file = BufWriter::new(setup::output_at(&a.output)?);
    let mut runner = setup::runner(&a.model, false)?;
    let mut seq = Sequence::new(runner.model(), &SequenceOptions { ctx: None, kv: a.model.kv.into() })?;
    let interrupt = Interrupt::install()?;
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
    let file = file.into_inner().map_err(|e| fail(e.error()))?;
    file.persist(&a.output).map_err(|e| fail(&e.error))?;
    let vocab = runner.model().config().vocab;
    let size = (a.tokens.len() * vocab * 4) as u64;
    crate::output::note(&format!("{} positions x {vocab} logits, {}", a.tokens.len(), bytes(size)));
    Ok(())
}
