//! Ctrl-C, and the other signals that ask a process to end.

use crate::errors::CliError;
use crate::temporary;
use hewn_engine::CancelToken;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

/// Exit code after a signal: 128 and its number, as shells have it; SIGINT's until another came.
static CODE: AtomicU8 = AtomicU8::new(130);

/// The exit code of a run that was stopped.
pub fn exit_code() -> u8 {
    CODE.load(Ordering::SeqCst)
}

/// Ctrl-C while something is generated stops it; while nothing is, or a second time, it quits.
#[derive(Clone)]
pub struct Interrupt {
    pub cancel: CancelToken,
    busy: Arc<AtomicBool>,
}

impl Interrupt {
    /// Begins to listen. To be called before threads and temporary files are made: threads started earlier would be
    /// killed by a signal, and the files stay.
    pub fn install() -> Result<Self, CliError> {
        let this = Self { cancel: CancelToken::new(), busy: Arc::default() };
        let handler = this.clone();
        listen(move || {
            if !handler.busy.load(Ordering::SeqCst) || handler.cancel.is_cancelled() {
                temporary::remove_all();
                std::process::exit(exit_code().into());
            }
            handler.cancel.cancel();
        })?;
        Ok(this)
    }

    /// Runs `f`, during which Ctrl-C cancels.
    pub fn guard<R>(&self, f: impl FnOnce(&CancelToken) -> R) -> R {
        self.cancel.reset();
        self.busy.store(true, Ordering::SeqCst);
        let r = f(&self.cancel);
        self.busy.store(false, Ordering::SeqCst);
        r
    }
}

/// Calls `on` at each signal, on a thread of its own. The signals are blocked in all others instead of handled, so that no
/// code has to be fit for a signal handler.
#[cfg(unix)]
fn listen(on: impl Fn() + Send + 'static) -> Result<(), CliError> {
    use nix::sys::signal::{SigSet, Signal};
    let ignored = ignored();
    let mut set = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // What is ignored stays so, as under `nohup`.
        if ignored >> (signal as u32 - 1) & 1 == 0 {
            set.add(signal);
        }
    }
    set.thread_block().map_err(|e| failed(&e))?;
    let wait = move || {
        while let Ok(signal) = set.wait() {
            CODE.store(128 + signal as u8, Ordering::SeqCst);
            on();
        }
    };
    std::thread::Builder::new().name("hewn-signals".into()).spawn(wait).map_err(|e| failed(&e))?;
    Ok(())
}

/// The signals that whoever started the process had ignored, as bits; none where the system does not tell.
#[cfg(unix)]
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let bits = status.lines().find_map(|l| l.strip_prefix("SigIgn:"));
    bits.and_then(|b| u64::from_str_radix(b.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(not(unix))]
fn listen(on: impl Fn() + Send + 'static) -> Result<(), CliError> {
    ctrlc::set_handler(on).map_err(|e| failed(&e))
}

fn failed(e: &dyn std::fmt::Display) -> CliError {
    CliError::failure(format!("cannot listen to Ctrl-C: {e}"), "is another handler installed, or are threads limited?")
}
