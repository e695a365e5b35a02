//! The thread team: one rayon broadcast a step, then parallel regions that cost well under a microsecond to open.
//!
//! A step of the decoder is a few hundred short parallel regions. Forking and joining tasks for each would cost more
//! than many of them take, so [`Team::step`] broadcasts once to its pool: thread 0 becomes the *leader* and runs the
//! step's ordinary sequential code; the others wait for regions. [`Crew::run`] opens a region: its chunks are dealt out
//! in contiguous shares, and who is done takes from the others' (see [`shares`]), so that a slow core does less.
//!
//! ```text
//! leader   ──serial──┬─chunks 0 1 2─┬──serial──┬─chunks─┬── ...
//! worker 1   spin    ├─chunks 4 5 3─┤   spin   ├─chunks─┤
//! worker 2 (preempted by another process) ──────── joins when it runs again; nobody waits for it meanwhile
//! ```
//!
//! A region waits only for the workers that *joined* it. One that the kernel has taken off its core before does not hold
//! up the rest.
//!
//! On a busy machine the speed must fall in proportion instead of collapsing, and that is decided by how threads wait:
//! briefly spinning, then asleep, the leader (for a worker in the middle of a chunk) as well as the workers (for the next
//! region). A thread that is taken off its core in the middle of a chunk comes back after milliseconds, as much as ten
//! regions take. Whoever spins or yields meanwhile uses up its own share of a core for nothing, is taken off just when
//! there is work again, and so on in turns; asleep, it leaves the core to the other process and keeps its claim, so that
//! in the end the team runs together and rests together. Yielding is no middle way: it gives away a whole time slice, and
//! the wake-up at the right moment is missing. With one busy process a core, two threads decode a 1.5B model at 43 %
//! of the quiet speed; with a leader that never slept and workers that yielded 64 times before they did, at 32 %.
//!
//! Chunking never changes a result: every output element is computed whole by one thread in the contract's order.

mod regions;
mod shares;
#[cfg(test)]
mod tests;
mod watch;

use crate::isa::{CpuIsa, ReadAhead, read_ahead};
use regions::Regions;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

pub use watch::TeamWatch;

/// Why a team could not be made or a step did not finish.
#[derive(Debug, thiserror::Error)]
pub enum TeamError {
    /// The thread pool could not be started.
    #[error("could not start {threads} threads: {reason}")]
    Start {
        /// How many were asked for.
        threads: usize,
        /// The operating system's word.
        reason: String,
    },
    /// A thread panicked during the step; the team stays usable.
    #[error("internal error in a compute thread: {0}")]
    Panicked(String),
}

/// A fixed set of threads and the instruction set that they compute with.
pub struct Team {
    pool: Option<rayon::ThreadPool>,
    threads: usize,
    isa: CpuIsa,
    /// See [`read_ahead`].
    ahead: ReadAhead,
    /// One step at a time: two broadcasts interleaved on the same threads would wait for each other.
    turn: Mutex<()>,
    /// Scratch of worker `i`, kept between steps.
    scratch: Vec<Mutex<Vec<Line>>>,
    /// The same once more, for what goes on around something that takes the first.
    rooms: Vec<Mutex<Vec<Line>>>,
    /// Scratch that all workers share, likewise.
    common: Mutex<Vec<Line>>,
}

impl Team {
    /// A team of `threads` (at least 1) computing with `isa`.
    pub fn new(threads: usize, isa: CpuIsa) -> Result<Self, TeamError> {
        let threads = threads.max(1);
        let pool = if threads == 1 {
            None
        } else {
            let built = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .thread_name(|i| format!("hewn-{i}"))
                .build()
                .map_err(|e| TeamError::Start { threads, reason: e.to_string() })?;
            Some(built)
        };
        let [scratch, rooms] = [(); 2].map(|()| (0..threads).map(|_| Mutex::default()).collect());
        Ok(Self {
            pool,
            threads,
            isa,
            ahead: read_ahead(isa.kind()),
            turn: Mutex::default(),
            scratch,
            rooms,
            common: Mutex::default(),
        })
    }

    /// How many threads there are.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// The instruction set in use.
    pub fn isa(&self) -> CpuIsa {
        self.isa
    }

    /// Runs `f` on the team. Parallel regions are opened through the [`Crew`] it gets; a panic on any of the threads
    /// ends the step with [`TeamError::Panicked`].
    pub fn step<R: Send>(&self, f: impl FnOnce(&Crew<'_>) -> R + Send) -> Result<R, TeamError> {
        self.watched_step(None, f)
    }

    /// The same, with somebody who is told what the threads do. Nobody watching costs a branch a region.
    pub fn watched_step<R: Send>(
        &self,
        watch: Option<&dyn TeamWatch>,
        f: impl FnOnce(&Crew<'_>) -> R + Send,
    ) -> Result<R, TeamError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let regions = Regions::new(self.threads, watch);
        let crew = Crew { team: self, regions: self.pool.as_ref().map(|_| &regions) };
        let outcome = match &self.pool {
            None => catch_unwind(AssertUnwindSafe(|| f(&crew))),
            Some(pool) => {
                let leader = Mutex::new(Some(f));
                let result = Mutex::new(None);
                pool.broadcast(|ctx| {
                    if ctx.index() != 0 {
                        return regions.work(ctx.index());
                    }
                    let f = leader.lock().unwrap_or_else(PoisonError::into_inner).take();
                    let r = f.map(|f| catch_unwind(AssertUnwindSafe(|| f(&crew))));
                    regions.dismiss();
                    *result.lock().unwrap_or_else(PoisonError::into_inner) = r;
                });
                let done = result.into_inner().unwrap_or_else(PoisonError::into_inner);
                done.unwrap_or_else(|| Err(Box::new("the step did not run")))
            }
        };
        outcome.map_err(|p| TeamError::Panicked(panic_text(&*p)))
    }
}

fn panic_text(p: &(dyn Any + Send)) -> String {
    let text = p.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| p.downcast_ref::<String>().cloned()).unwrap_or_else(|| "panic without a message".to_owned())
}

/// The team during one step, in the hands of the step's code.
pub struct Crew<'t> {
    team: &'t Team,
    regions: Option<&'t Regions<'t>>,
}

impl Crew<'_> {
    /// How many threads can take part in a region.
    pub fn threads(&self) -> usize {
        self.team.threads
    }

    /// The instruction set in use.
    pub fn isa(&self) -> CpuIsa {
        self.team.isa
    }

    /// How far ahead to ask for weights: see [`read_ahead`].
    pub(crate) fn ahead(&self) -> ReadAhead {
        self.team.ahead
    }

    /// Calls `job(worker, chunk)` once for every `chunk < chunks`, spread over the threads; returns when all are done.
    pub fn run(&self, chunks: usize, job: &(dyn Fn(usize, usize) + Sync)) {
        match self.regions {
            Some(regions) if chunks > 1 => regions.run(chunks, job),
            _ => (0..chunks).for_each(|c| job(0, c)),
        }
    }

    /// Tells the threads which bytes they will probably read first in a region to come, `start(worker)`; those that have
    /// to wait fetch them into their caches meanwhile. A hint: no result depends on it.
    pub(crate) fn expect<'a>(&self, start: impl Fn(usize) -> &'a [u8]) {
        if let Some(regions) = self.regions {
            (0..self.threads()).for_each(|worker| regions.expect(worker, start(worker)));
        }
    }

    /// Tells the leader what it will read by itself between the next region and the one after it: it fetches this into its
    /// caches when it comes to the end of its share. Most of what lies between two regions is in no cache otherwise: weights
    /// have gone through them since it was last read. A hint, of [`PIECES`](regions::PIECES) pieces at most.
    pub fn expect_alone<'a>(&self, bytes: impl Iterator<Item = &'a [u8]>) {
        if let Some(regions) = self.regions {
            regions.expect_alone(bytes);
        }
    }

    /// The chunk of a region of `chunks` that `worker` starts with.
    pub(crate) fn share_start(&self, worker: usize, chunks: usize) -> usize {
        shares::start(chunks, worker, self.threads())
    }

    /// Cuts `out` into rows of `width` (the last may be shorter) and calls `f(worker, i, row)` for each; in parallel when
    /// `split` says it is worth it.
    pub fn rows<T: Send>(&self, out: &mut [T], width: usize, split: bool, f: impl Fn(usize, usize, &mut [T]) + Sync) {
        if width == 0 {
            return;
        }
        let (len, n) = (out.len(), out.len().div_ceil(width));
        if !split || n < 2 || self.threads() == 1 {
            out.chunks_mut(width).enumerate().for_each(|(i, row)| f(0, i, row));
            return;
        }
        let base = SendPtr(out.as_mut_ptr());
        let per = n.div_ceil(self.threads() * 4);
        self.run(n.div_ceil(per), &|worker, c| {
            for i in c * per..((c + 1) * per).min(n) {
                // SAFETY: rows `i` of `width` elements, cut off at the end of `out`, lie inside it, are disjoint, and each
                // belongs to one chunk, which one thread takes; `out` is borrowed for the whole region.
                let row =
                    unsafe { std::slice::from_raw_parts_mut(base.get().add(i * width), width.min(len - i * width)) };
                f(worker, i, row);
            }
        });
    }

    /// The scratch of worker `w` with room for `bytes` at a multiple of 64, for the duration of `f`; contents are left over from before.
    pub fn with_scratch<R>(&self, w: usize, bytes: usize, f: impl FnOnce(&mut [u8]) -> R) -> R {
        lend(&self.team.scratch[w], bytes, f)
    }

    /// The same of worker `w`'s other scratch, around something that takes the first.
    pub(crate) fn with_room<R>(&self, w: usize, bytes: usize, f: impl FnOnce(&mut [u8]) -> R) -> R {
        lend(&self.team.rooms[w], bytes, f)
    }

    /// The same of the scratch that all workers share: for the leader, around the regions that use it.
    pub(crate) fn with_common<R>(&self, bytes: usize, f: impl FnOnce(&mut [u8]) -> R) -> R {
        lend(&self.team.common, bytes, f)
    }
}

fn lend<R>(scratch: &Mutex<Vec<Line>>, bytes: usize, f: impl FnOnce(&mut [u8]) -> R) -> R {
    let mut buf = scratch.lock().unwrap_or_else(PoisonError::into_inner);
    let lines = bytes.div_ceil(size_of::<Line>());
    if buf.len() < lines {
        buf.resize(lines, Line([0; 64]));
    }
    f(&mut bytemuck::cast_slice_mut(&mut buf[..])[..bytes])
}

/// A cache line, the unit of scratch.
#[derive(Clone, Copy, bytemuck::Zeroable, bytemuck::Pod)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// A pointer that may cross threads; whoever uses it proves disjointness.
#[derive(Clone, Copy)]
pub(crate) struct SendPtr<T>(pub *mut T);

// SAFETY: only the address crosses; each use states why its accesses are disjoint.
unsafe impl<T: Send> Send for SendPtr<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for SendPtr<T> {}

impl<T> SendPtr<T> {
    pub fn get(&self) -> *mut T {
        self.0
    }
}
