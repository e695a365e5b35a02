//! The thread team: one rayon broadcast a step, then parallel regions that cost well under a microsecond to open.
//!
//! A step of the decoder is a few hundred short parallel regions. Forking and joining tasks for each would cost more
//! than many of them take, so [`Team::step`] broadcasts once to its pool: thread 0 becomes the *leader* and runs the
//! step's ordinary sequential code; the others wait for regions. [`Crew::run`] opens a region: its chunks are taken
//! off an atomic counter, so that a slow core takes fewer.
//!
//! ```text
//! leader   ──serial──┬─chunks 0 3 5─┬──serial──┬─chunks─┬── ...
//! worker 1   spin    ├─chunks 1 4 6─┤   spin   ├─chunks─┤
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

use crate::isa::CpuIsa;
use std::any::Any;
use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What a region runs for every chunk: `(worker, chunk)`.
type Job<'a> = &'a (dyn Fn(usize, usize) + Sync);

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
    /// One step at a time: two broadcasts interleaved on the same threads would wait for each other.
    turn: Mutex<()>,
    /// Scratch of worker `i`, kept between steps.
    scratch: Vec<Mutex<Vec<Line>>>,
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
        let scratch = (0..threads).map(|_| Mutex::default()).collect();
        Ok(Self { pool, threads, isa, turn: Mutex::default(), scratch })
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
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let regions = Regions::default();
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
    regions: Option<&'t Regions>,
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

    /// Calls `job(worker, chunk)` once for every `chunk < chunks`, spread over the threads; returns when all are done.
    pub fn run(&self, chunks: usize, job: &(dyn Fn(usize, usize) + Sync)) {
        match self.regions {
            Some(regions) if chunks > 1 => regions.run(chunks, job),
            _ => (0..chunks).for_each(|c| job(0, c)),
        }
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
        let mut buf = self.team.scratch[w].lock().unwrap_or_else(PoisonError::into_inner);
        let lines = bytes.div_ceil(size_of::<Line>());
        if buf.len() < lines {
            buf.resize(lines, Line([0; 64]));
        }
        f(&mut bytemuck::cast_slice_mut(&mut buf[..])[..bytes])
    }
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

const OPEN: u64 = 1 << 31;
const JOINED: u64 = OPEN - 1;
/// How long to spin before sleeping: more than a chunk of most regions and the serial code between two take, and far
/// less than a time slice.
const SPIN: Duration = Duration::from_micros(100);

/// The leader's side and the workers' side of the regions of one step.
#[derive(Default)]
struct Regions {
    /// `epoch << 32 | open bit | number of workers that joined`. The job may change only while closed with none joined.
    state: AtomicU64,
    job: UnsafeCell<Option<(Job<'static>, usize)>>,
    next: AtomicUsize,
    quit: AtomicBool,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    /// Workers at or behind the door.
    sleepers: AtomicUsize,
    /// Whether the leader is.
    leader_sleeps: AtomicBool,
    door: Mutex<()>,
    /// For workers: a region is open, or all are dismissed.
    bell: Condvar,
    /// For the leader: the last worker has left a closed region.
    left: Condvar,
}

// SAFETY: `job` is written by the leader only while the region is closed and nobody has joined, and read by workers
// only between joining and leaving; both sides go through `state` with acquire/release ordering.
unsafe impl Sync for Regions {}

impl Regions {
    /// Leader: opens a region, takes part, closes it, waits for those who joined.
    fn run(&self, chunks: usize, job: Job<'_>) {
        // SAFETY: only the lifetime is extended; `run` does not return (not even by unwinding) before the region is
        // closed and the last worker has left it.
        let job: Job<'static> = unsafe { std::mem::transmute(job) };
        // SAFETY: the region is closed and empty here (see below), so no worker reads the cell.
        unsafe { *self.job.get() = Some((job, chunks)) };
        self.next.store(0, Ordering::Relaxed);
        let epoch = (self.state.load(Ordering::Relaxed) >> 32).wrapping_add(1) & 0xffff_ffff;
        self.state.store(epoch << 32 | OPEN, Ordering::SeqCst);
        self.wake();
        let mine = catch_unwind(AssertUnwindSafe(|| self.chunks(0, job, chunks)));
        if mine.is_err() {
            // Leave nothing for the others to start.
            self.next.store(chunks, Ordering::Relaxed);
        }
        self.state.fetch_and(!OPEN, Ordering::AcqRel);
        let mut wait = Wait::default();
        while self.state.load(Ordering::Acquire) & JOINED != 0 {
            if !wait.spin() {
                self.sleep_until_left();
            }
        }
        if let Err(p) = mine {
            resume_unwind(p);
        }
        if let Some(p) = self.panic.lock().unwrap_or_else(PoisonError::into_inner).take() {
            resume_unwind(p);
        }
    }

    fn chunks(&self, worker: usize, job: Job<'_>, chunks: usize) {
        loop {
            let c = self.next.fetch_add(1, Ordering::Relaxed);
            if c >= chunks {
                return;
            }
            job(worker, c);
        }
    }

    /// Worker: takes part in regions until dismissed.
    fn work(&self, worker: usize) {
        let mut seen = 0;
        let mut wait = Wait::default();
        loop {
            let s = self.state.load(Ordering::Acquire);
            if s & OPEN != 0 && s >> 32 != seen {
                if self.state.compare_exchange_weak(s, s + 1, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                    seen = s >> 32;
                    // SAFETY: this worker has joined an open region: the leader wrote the job before opening it and
                    // will not touch it until this worker has left.
                    let job = unsafe { *self.job.get() };
                    if let Some((job, chunks)) = job
                        && let Err(p) = catch_unwind(AssertUnwindSafe(|| self.chunks(worker, job, chunks)))
                    {
                        self.next.store(chunks, Ordering::Relaxed);
                        *self.panic.lock().unwrap_or_else(PoisonError::into_inner) = Some(p);
                    }
                    self.leave();
                    wait = Wait::default();
                }
                continue;
            }
            if self.quit.load(Ordering::Acquire) {
                return;
            }
            if !wait.spin() {
                self.sleep(seen);
            }
        }
    }

    /// Worker: leaves a region that it has joined, and wakes a leader that waits for the last to do so.
    fn leave(&self) {
        let before = self.state.fetch_sub(1, Ordering::SeqCst);
        if before & (OPEN | JOINED) == 1 && self.leader_sleeps.load(Ordering::SeqCst) {
            let _door = self.door.lock().unwrap_or_else(PoisonError::into_inner);
            self.left.notify_one();
        }
    }

    /// Leader: the region is closed; sleeps until the last worker has left, or for a shorter time.
    fn sleep_until_left(&self) {
        let guard = self.door.lock().unwrap_or_else(PoisonError::into_inner);
        // Either this load sees that the last has left, or the last sees this store and comes to the door.
        self.leader_sleeps.store(true, Ordering::SeqCst);
        if self.state.load(Ordering::SeqCst) & JOINED != 0 {
            drop(self.left.wait(guard).unwrap_or_else(PoisonError::into_inner));
        }
        self.leader_sleeps.store(false, Ordering::SeqCst);
    }

    fn sleep(&self, seen: u64) {
        let guard = self.door.lock().unwrap_or_else(PoisonError::into_inner);
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        let s = self.state.load(Ordering::SeqCst);
        let news = (s & OPEN != 0 && s >> 32 != seen) || self.quit.load(Ordering::SeqCst);
        if !news {
            // Spurious wake-ups are fine: the caller looks again.
            drop(self.bell.wait(guard).unwrap_or_else(PoisonError::into_inner));
        }
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
    }

    fn wake(&self) {
        if self.sleepers.load(Ordering::SeqCst) > 0 {
            let _door = self.door.lock().unwrap_or_else(PoisonError::into_inner);
            self.bell.notify_all();
        }
    }

    fn dismiss(&self) {
        self.quit.store(true, Ordering::SeqCst);
        self.wake();
    }
}

/// One wait of a thread.
#[derive(Default)]
struct Wait {
    turns: u32,
    since: Option<Instant>,
}

impl Wait {
    /// Spins a little; `false` once it has been long enough and the thread should sleep.
    fn spin(&mut self) -> bool {
        std::hint::spin_loop();
        self.turns = self.turns.wrapping_add(1);
        // What a turn takes differs tenfold between CPUs, hence the clock; reading it takes a few turns itself.
        !self.turns.is_multiple_of(32) || self.since.get_or_insert_with(Instant::now).elapsed() < SPIN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn team(threads: usize) -> Team {
        Team::new(threads, CpuIsa::best()).unwrap()
    }

    #[test]
    fn every_chunk_runs_once() {
        for threads in [1, 2, 5] {
            let t = team(threads);
            for chunks in [0, 1, 2, 3, 1000] {
                let hits: Vec<AtomicUsize> = (0..chunks).map(|_| AtomicUsize::new(0)).collect();
                t.step(|crew| {
                    for _ in 0..20 {
                        crew.run(chunks, &|w, c| {
                            assert!(w < threads);
                            hits[c].fetch_add(1, Ordering::Relaxed);
                        });
                    }
                })
                .unwrap();
                assert!(hits.iter().all(|h| h.load(Ordering::Relaxed) == 20));
            }
        }
    }

    #[test]
    fn a_region_wakes_sleeping_workers() {
        let t = team(3);
        let sum = AtomicUsize::new(0);
        t.step(|crew| {
            for _ in 0..3 {
                std::thread::sleep(Duration::from_millis(20));
                crew.run(64, &|_, c| {
                    sum.fetch_add(c, Ordering::Relaxed);
                });
            }
        })
        .unwrap();
        assert_eq!(sum.into_inner(), 3 * (63 * 64 / 2));
    }

    #[test]
    fn a_leader_that_sleeps_is_woken() {
        let t = team(3);
        let done = AtomicUsize::new(0);
        t.step(|crew| {
            for round in 1..=5 {
                let workers = AtomicUsize::new(0);
                crew.run(1000, &|worker, _| {
                    // Every worker stays in one chunk until the leader has surely run out of patience.
                    if worker == 0 {
                        while workers.load(Ordering::SeqCst) < 2 {
                            std::thread::yield_now();
                        }
                    } else if workers.fetch_add(1, Ordering::SeqCst) < 2 {
                        std::thread::sleep(100 * SPIN);
                        done.fetch_add(1, Ordering::SeqCst);
                    }
                });
                assert_eq!(done.load(Ordering::SeqCst), 2 * round, "a region ends after the last of its chunks");
            }
        })
        .unwrap();
    }

    #[test]
    fn a_panic_becomes_an_error_and_the_team_lives_on() {
        for threads in [1, 4] {
            let t = team(threads);
            let err = t.step(|crew| {
                crew.run(100, &|_, c| assert!(c != 57, "chunk {c} is bad"));
            });
            assert!(matches!(err, Err(TeamError::Panicked(m)) if m.contains("chunk 57")));
            assert_eq!(t.step(|_| 5).unwrap(), 5);
            let err = t.step(|_| -> () { panic!("leader") });
            assert!(err.is_err());
        }
    }

    #[test]
    fn rows_are_disjoint_and_complete() {
        let t = team(3);
        let mut v = vec![0u32; 7 * 11 + 4];
        t.step(|crew| crew.rows(&mut v, 11, true, |_, i, r| r.fill(i as u32 + 1))).unwrap();
        assert!(v.chunks(11).enumerate().all(|(i, r)| r.iter().all(|&x| x == i as u32 + 1)));
    }

    #[test]
    fn steps_from_several_threads_take_turns() {
        let t = team(2);
        std::thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| {
                    for _ in 0..50 {
                        let n = AtomicUsize::new(0);
                        t.step(|crew| {
                            crew.run(8, &|_, _| {
                                n.fetch_add(1, Ordering::Relaxed);
                            })
                        })
                        .unwrap();
                        assert_eq!(n.into_inner(), 8);
                    }
                });
            }
        });
    }
}
