//! Behind a running model: finds its packed file or makes one, checks it, and switches the matrices to it.

use super::cache::PackCache;
use super::error::PackError;
use super::identity::Identity;
use super::plan::Plan;
use super::reader::Pack;
use super::writer::{Check, Job, Outcome};
use super::{PackEvent, PackMode, PackOptions, beside, os};
use crate::cancel::CancelToken;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::Thread;
use std::time::Duration;

/// How long to wait before looking whether another process has finished.
const POLL: Duration = Duration::from_secs(2);
/// How long a model that is dropped waits for its thread. One that hangs in the file system is left behind.
const PATIENCE: Duration = Duration::from_millis(40);

/// The thread behind a model; dropping it stops the work.
#[derive(Debug)]
pub(crate) struct Worker {
    cancel: CancelToken,
    thread: Thread,
    /// Disconnected when the thread has ended. A mutex makes it shareable; it is only used by `drop`.
    ended: std::sync::Mutex<Receiver<()>>,
}

impl Worker {
    /// Does what the options say: at once, or in the background.
    pub fn start(plan: Plan, options: &PackOptions) -> Result<Option<Self>, PackError> {
        let cancel = CancelToken::new();
        let task = Task { identity: None, plan, options: options.clone(), cancel: cancel.clone() };
        match options.mode {
            PackMode::Off => Ok(None),
            PackMode::Wait => task.now().map(|()| None),
            PackMode::Auto if task.plan.items.is_empty() => Ok(None),
            PackMode::Auto => {
                let (alive, ended) = channel::<()>();
                let run = move || {
                    let _alive = alive;
                    task.behind();
                };
                let thread = std::thread::Builder::new().name("hewn-pack".into()).spawn(run);
                let thread =
                    thread.map_err(PackError::io("start a thread for", Path::new("packing")))?.thread().clone();
                Ok(Some(Self { cancel, thread, ended: ended.into() }))
            }
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.cancel.cancel();
        self.thread.unpark();
        if let Ok(ended) = self.ended.lock() {
            // Nothing is ever sent: it ends by disconnecting, or the time is up.
            let _: Result<(), RecvTimeoutError> = ended.recv_timeout(PATIENCE);
        }
    }
}

struct Task {
    /// Reading the edges of every tensor may take a while where the file is not in memory yet: on the thread.
    identity: Option<Identity>,
    plan: Plan,
    options: PackOptions,
    cancel: CancelToken,
}

impl Task {
    fn emit(&self, event: PackEvent) {
        if let Some(listener) = &self.options.listener {
            (listener.0)(event);
        }
    }

    fn identity(&mut self) -> Identity {
        *self.identity.get_or_insert_with(|| self.plan.identity())
    }

    /// Where to look: beside the model, then in the cache, which comes back separately as the place to make one.
    fn places(&self, identity: &Identity) -> (Option<PathBuf>, Option<PathBuf>) {
        let cached = self.options.cache.as_ref().map(|c| c.path(identity));
        (self.plan.gguf.path().map(beside), cached)
    }

    /// Uses the file at `path`. False when it is not there or cannot be believed.
    fn try_use(&self, identity: &Identity, path: &Path) -> Result<bool, PackError> {
        if !path.exists() {
            return Ok(false);
        }
        match Pack::open(path, &self.plan, identity).and_then(|p| p.switch(&self.plan, &self.cancel)) {
            Ok(()) => {
                if let Some(cache) = &self.options.cache {
                    cache.touch(path);
                }
                self.emit(PackEvent::Used { path: path.to_owned() });
                Ok(true)
            }
            Err(PackError::Cancelled) => Err(PackError::Cancelled),
            Err(reason) => {
                self.emit(PackEvent::Ignored { path: path.to_owned(), reason });
                Ok(false)
            }
        }
    }

    fn write(&self, identity: &Identity, target: &Path, check: Check, wait: bool) -> Result<Outcome, PackError> {
        let cache = self.options.cache.as_ref().filter(|c| target.starts_with(PackCache::dir(c)));
        if let Some(cache) = cache {
            cache.make_room(target, self.plan.file_len())?;
        }
        let (plan, cancel, on) = (&self.plan, &self.cancel, |e| self.emit(e));
        let identity = *identity;
        let ours = cache.is_some();
        Job { plan, identity, target, ours, check, wait, cancel, on: &on, report: false }.write()
    }

    /// Before the model runs; a failure is the caller's.
    fn now(mut self) -> Result<(), PackError> {
        if self.plan.items.is_empty() {
            return Ok(());
        }
        let identity = self.identity();
        let (beside, cached) = self.places(&identity);
        for place in beside.iter().chain(&cached) {
            if self.try_use(&identity, place)? {
                return Ok(());
            }
        }
        let target = cached.or(beside).ok_or(PackError::NoPlace)?;
        self.write(&identity, &target, check_again(&target), true)?;
        self.use_made(&identity, &target)
    }

    /// Uses what was just made; that it is damaged already is an error, not a reason to try once more.
    fn use_made(&self, identity: &Identity, target: &Path) -> Result<(), PackError> {
        Pack::open(target, &self.plan, identity)?.switch(&self.plan, &self.cancel)?;
        self.emit(PackEvent::Used { path: target.to_owned() });
        Ok(())
    }

    /// In the background; a failure is an event.
    fn behind(mut self) {
        let identity = self.identity();
        match self.find_or_make(&identity) {
            Ok(()) | Err(PackError::Cancelled) => {}
            Err(reason) => self.emit(PackEvent::Failed { reason }),
        }
    }

    fn find_or_make(&self, identity: &Identity) -> Result<(), PackError> {
        let (beside, cached) = self.places(identity);
        if let Some(place) = &beside
            && self.try_use(identity, place)?
        {
            return Ok(());
        }
        let Some(target) = cached else { return Ok(()) };
        if self.try_use(identity, &target)? {
            return Ok(());
        }
        if self.plan.bytes() < self.options.min_bytes {
            return Ok(());
        }
        let check = check_again(&target);
        while let Err(e) = self.write_last(identity, &target, check) {
            if !matches!(e, PackError::Busy) {
                return Err(e);
            }
            std::thread::park_timeout(POLL);
            if self.cancel.is_cancelled() {
                return Ok(());
            }
        }
        self.use_made(identity, &target)
    }

    /// Writes with the lowest priority. That cannot be taken back, so a thread of its own does it: checking what it
    /// made is worth full speed again, as the answers profit from it.
    fn write_last(&self, identity: &Identity, target: &Path, check: Check) -> Result<Outcome, PackError> {
        std::thread::scope(|scope| {
            let write = || {
                os::step_back();
                self.write(identity, target, check, false)
            };
            let spawned = std::thread::Builder::new().name("hewn-pack-write".into()).spawn_scoped(scope, write);
            let writer = spawned.map_err(PackError::io("start a thread for", target))?;
            writer.join().unwrap_or_else(|_| Err(PackError::Damaged("the packing thread panicked".into())))
        })
    }
}

/// How much to check of what is at the target when the time has come to write it. One that was there before was not
/// believed: it must have been replaced meanwhile to do, which takes a look at every byte.
fn check_again(target: &Path) -> Check {
    if target.exists() { Check::Data } else { Check::Header }
}
