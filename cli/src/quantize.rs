//! `hewn quantize`: a model's file with its weights in another number format.

use crate::args::QuantizeArgs;
use crate::errors::CliError;
use crate::outfile::{OutputFile, parts};
use crate::output::{Interrupt, bytes, duration, note, warn};
use crate::setup;
use hewn_engine::loader::{Gguf, OpenOptions};
use hewn_engine::quantize::{Choice, QuantizeError, QuantizeOptions, QuantizeReport, quantize};
use hewn_engine::{EngineError, Team};
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::io::BufWriter;
use std::time::Instant;

/// Runs the subcommand.
pub fn run(a: &QuantizeArgs) -> Result<(), CliError> {
    let interrupt = Interrupt::install()?;
    let gguf = Gguf::open(&a.input, &OpenOptions::default())?;
    let threads = setup::threads(a.threads)?;
    let team = Team::new(threads, setup::isa(a.isa.as_deref())?).map_err(EngineError::from)?;
    let options = QuantizeOptions { to: a.to, pure: a.pure, requantize: a.allow_requantize };
    let (start, bar) = (Instant::now(), bar());
    // From here on Ctrl-C cancels, so that the unfinished file is always removed.
    let done = interrupt.guard(|cancel| -> Result<QuantizeReport, CliError> {
        let output = OutputFile::stream(&a.output)?;
        output.must_not_be(parts(&gguf))?;
        let fail = output.fail();
        let mut file = BufWriter::with_capacity(1 << 20, output);
        let done = quantize(&gguf, &mut file, &options, &team, cancel, &mut |p| {
            bar.set_length(p.total);
            bar.set_position(p.done);
            if bar.message() != p.tensor {
                bar.set_message(p.tensor.escape_debug().to_string());
            }
        });
        let report = match done {
            Err(QuantizeError::Write(e)) => return Err(fail(&e)),
            done => done?,
        };
        let output = file.into_inner().map_err(|e| fail(e.error()))?;
        output.sync().map_err(|e| fail(&e))?;
        output.keep()?;
        Ok(report)
    });
    bar.finish_and_clear();
    let report = done?;
    tell(&report);
    let (before, after) = (bytes(report.before), bytes(report.after));
    let bits = report.after as f64 * 8.0 / report.weights.max(1) as f64;
    let time = duration(start.elapsed());
    note(&format!("{}: {before} -> {after} ({bits:.2} bits per weight) in {time}: {}", a.to, a.output.display()));
    Ok(())
}

/// Without a terminal, indicatif draws nothing.
fn bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    match ProgressStyle::with_template("quantizing {bar:30} {percent} %, {eta} left  {wide_msg}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// What got another format than the mix says, and how many tensors have which.
fn tell(report: &QuantizeReport) {
    let mut others: BTreeMap<(&str, &str), Vec<&Choice>> = BTreeMap::new();
    let mut formats: BTreeMap<&str, usize> = BTreeMap::new();
    for c in &report.choices {
        *formats.entry(c.to.name()).or_default() += 1;
        if let Some(wanted) = c.instead_of {
            others.entry((wanted.name(), c.to.name())).or_default().push(c);
        }
    }
    for ((wanted, got), list) in others {
        let name = list[0].tensor.escape_debug();
        let more = if list.len() > 1 { format!(" and {} more", list.len() - 1) } else { String::new() };
        warn(&format!("rows are no whole blocks of {wanted}, {got} instead: {name}{more}"));
    }
    let list: Vec<String> = formats.iter().map(|(f, n)| format!("{n} in {f}")).collect();
    note(&format!("tensors: {}", list.join(", ")));
}
