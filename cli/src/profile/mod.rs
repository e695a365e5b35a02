//! `hewn profile`: where the time of a prompt and of an answer goes, operation by operation and layer by layer, and how
//! near each operation comes to the ceiling that bounds it.

mod analyse;
mod counters;
mod html;
mod measure;
mod pages;
mod plots;
mod report;
mod table;
mod trace;

use crate::args::ProfileArgs;
use crate::errors::CliError;
use crate::outfile::{OutputFile, parts};
use crate::output::{Interrupt, note};
use crate::synth::{self, Synthetic};
use hewn_engine::loader::{Gguf, OpenOptions};
use std::io::{Write, stdout};
use std::path::Path;

/// Why the files cannot go to standard output.
const TAKEN: &str = "where the figures go";

/// Runs the subcommand.
pub fn run(a: &ProfileArgs) -> Result<(), CliError> {
    if a.list_shapes {
        return synth::list();
    }
    for (option, value) in [("--pp", a.pp), ("--tg", a.tg)] {
        if value == Some(0) {
            let hint = "it is a count of at least 1; leave it out to profile the other kind only";
            return Err(CliError::usage(format!("{option} must not be 0"), hint));
        }
    }
    let made = a.shape.as_ref().map(|s| Synthetic::find(s, &a.quant)).transpose()?;
    let interrupt = Interrupt::install()?;
    // An output that cannot be written is an error before the run, not after it.
    let html = OutputFile::maybe(a.html.as_deref(), TAKEN)?;
    let trace = OutputFile::maybe(a.trace.as_deref(), TAKEN)?;
    let packed = a.layout == crate::args::Layout::Packed;
    let made = interrupt.guard(|cancel| made.map(|m| m.temporary(packed, cancel)).transpose())?;
    let path: &Path = match (&made, &a.model) {
        (Some(made), _) => made.path(),
        (None, Some(path)) => path,
        (None, None) => return Err(CliError::usage("no model was given", "name a GGUF file, or a shape with --shape")),
    };
    if html.is_some() || trace.is_some() {
        let gguf = Gguf::open(path, &OpenOptions::default())?;
        [&html, &trace].into_iter().flatten().try_for_each(|out| out.must_not_be(parts(&gguf)))?;
    }
    let profile = interrupt.guard(|cancel| measure::run(a, path, cancel))?;
    let report = analyse::report(&profile);
    if let Some(out) = html {
        out.write_text(&html::page(&report, &profile)?)?;
    }
    if let Some(mut out) = trace {
        let fail = out.fail();
        trace::write(&mut out, &report, &profile).map_err(|e| fail(&e))?;
        out.keep()?;
    }
    let text = if a.json {
        serde_json::to_string_pretty(&report).map_err(std::io::Error::from)? + "\n"
    } else {
        table::text(&report)
    };
    stdout().lock().write_all(text.as_bytes())?;
    if let Some(path) = &a.html {
        note(&format!("the page is {}", path.display()));
    }
    if let Some(path) = &a.trace {
        note(&format!("the trace is {}: open it at https://ui.perfetto.dev", path.display()));
    }
    Ok(())
}
