//! `hewn pack`, and what the other subcommands tell about packed files.

use crate::args::PackArgs;
use crate::errors::CliError;
use crate::output::{Interrupt, bytes, duration, note, warn};
use crate::{cache, outfile};
use hewn_engine::packed::{self, PackError, PackEvent, PackListener};
use hewn_engine::{LoadOptions, Model, PackMode, PackOptions};
use indicatif::{ProgressBar, ProgressStyle};
use std::sync::Mutex;
use std::time::Instant;

/// Runs the subcommand.
pub fn run(a: &PackArgs) -> Result<(), CliError> {
    let interrupt = Interrupt::install()?;
    let model = Model::open(&a.model, &LoadOptions::default())?;
    // Of a split file any part may have been given.
    let first = model.gguf().path().unwrap_or(&a.model);
    if a.output.as_ref().is_some_and(|o| o.as_os_str() == "-") {
        let cause = "a packed file cannot go to standard output: models are read from it in place";
        return Err(CliError::usage(cause, "name a file; ./- is one called `-`"));
    }
    let output = a.output.as_deref().map_or_else(|| packed::beside(first), outfile::behind_links);
    let (start, teller) = (Instant::now(), Teller::default());
    let done = interrupt.guard(|cancel| packed::write(&model, &output, a.force, cancel, &|e| teller.tell(e)));
    teller.clear();
    match done {
        Ok(r) if r.written => {
            let (size, time) = (bytes(r.bytes), duration(start.elapsed()));
            note(&format!("packed {size} in {time}: {}", output.display()));
            Ok(())
        }
        Ok(r) => {
            note(&format!("there is a valid one, {}: {}", bytes(r.bytes), output.display()));
            Ok(())
        }
        Err(PackError::Cancelled) => {
            note(&format!("stopped; the same command goes on from {}.partial", output.display()));
            Err(CliError::interrupted())
        }
        Err(e) => Err(e.into()),
    }
}

/// The options of a model that is going to run.
pub fn options(mode: PackMode) -> Result<PackOptions, CliError> {
    let cache = if mode == PackMode::Off { None } else { cache::folder()? };
    let teller = Teller { behind: mode == PackMode::Auto, ..Teller::default() };
    let listener = Some(PackListener::new(move |e| teller.tell(e)));
    Ok(PackOptions { mode, cache, listener, ..PackOptions::default() })
}

/// Tells on standard error what happens to a packed file.
#[derive(Default)]
struct Teller {
    /// Whether it happens behind an answer, where a bar would be in the way.
    behind: bool,
    bar: Mutex<Option<ProgressBar>>,
}

impl Teller {
    fn tell(&self, e: PackEvent) {
        match e {
            PackEvent::Ignored { path, reason } => {
                self.clear();
                warn(&format!("the packed file {} is not used: {reason}", path.display()));
            }
            PackEvent::Failed { reason } => {
                warn(&format!("no packed file was made, which only costs speed (--pack off does not try): {reason}"));
            }
            PackEvent::Waiting { .. } if !self.behind => note("another process is making the packed file: waiting"),
            PackEvent::Progress { done, total } if !self.behind => self.progress(done, total),
            PackEvent::Used { .. } => self.clear(),
            _ => {}
        }
    }

    fn progress(&self, done: u64, total: u64) {
        let Ok(mut bar) = self.bar.lock() else { return };
        let bar = bar.get_or_insert_with(|| {
            // Without a terminal, indicatif draws nothing.
            let bar = ProgressBar::new(total);
            match ProgressStyle::with_template("packing {bar:30} {bytes}/{total_bytes}, {eta} left") {
                Ok(style) => bar.with_style(style),
                Err(_) => bar,
            }
        });
        bar.set_position(done);
    }

    fn clear(&self) {
        if let Some(bar) = self.bar.lock().ok().and_then(|mut b| b.take()) {
            bar.finish_and_clear();
        }
    }
}
