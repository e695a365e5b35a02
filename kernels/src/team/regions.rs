//! The parallel regions of one step: how the leader opens and closes them, how the others join, leave and wait.

use super::TeamWatch;
use super::shares::Shares;
use crate::isa::prefetch;
use std::any::Any;
use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What a region runs for every chunk: `(worker, chunk)`.
pub(super) type Job<'a> = &'a (dyn Fn(usize, usize) + Sync);

const OPEN: u64 = 1 << 31;
const JOINED: u64 = OPEN - 1;
/// How long to spin before sleeping: more than a chunk of most regions and the serial code between two take, and far
/// less than a time slice.
pub(super) const SPIN: Duration = Duration::from_micros(100);

/// Lines that a waiting thread asks for between two looks at the door.
const FETCH: usize = 4;

/// Pieces of memory that the leader is told of at a time.
pub(super) const PIECES: usize = 8;

/// The leader's side and the workers' side of the regions of one step.
pub(super) struct Regions<'w> {
    /// `epoch << 32 | open bit | number of workers that joined`. The job may change only while closed with none joined.
    state: AtomicU64,
    job: UnsafeCell<Option<Job<'static>>>,
    shares: Shares,
    quit: AtomicBool,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    /// Workers at or behind the door.
    sleepers: AtomicUsize,
    /// Whether the leader is.
    leader_sleeps: AtomicBool,
    door: Mutex<()>,
    /// What each thread reads first in the region after the next.
    ahead: Box<[Ahead]>,
    /// What the leader reads by itself after the next region.
    alone: [Ahead; PIECES],
    /// For workers: a region is open, or all are dismissed.
    bell: Condvar,
    /// For the leader: the last worker has left a closed region.
    left: Condvar,
    /// Is told who works when.
    watch: Option<&'w dyn TeamWatch>,
}

// SAFETY: `job` is written by the leader only while the region is closed and nobody has joined, and read by workers
// only between joining and leaving; both sides go through `state` with acquire/release ordering.
unsafe impl Sync for Regions<'_> {}

impl<'w> Regions<'w> {
    pub fn new(threads: usize, watch: Option<&'w dyn TeamWatch>) -> Self {
        Self {
            state: AtomicU64::new(0),
            job: UnsafeCell::new(None),
            shares: Shares::new(threads),
            quit: AtomicBool::new(false),
            panic: Mutex::new(None),
            sleepers: AtomicUsize::new(0),
            leader_sleeps: AtomicBool::new(false),
            door: Mutex::new(()),
            ahead: (0..threads).map(|_| Ahead::default()).collect(),
            alone: Default::default(),
            bell: Condvar::new(),
            left: Condvar::new(),
            watch,
        }
    }

    /// Leader: opens a region, takes part, closes it, waits for those who joined.
    pub fn run(&self, chunks: usize, job: Job<'_>) {
        // SAFETY: only the lifetime is extended; `run` does not return (not even by unwinding) before the region is
        // closed and the last worker has left it.
        let job: Job<'static> = unsafe { std::mem::transmute(job) };
        // SAFETY: the region is closed and empty here (see below), so no worker reads the cell.
        unsafe { *self.job.get() = Some(job) };
        let opened = self.watch.map(|w| (w, Instant::now()));
        self.shares.deal(chunks);
        let epoch = (self.state.load(Ordering::Relaxed) >> 32).wrapping_add(1) & 0xffff_ffff;
        self.state.store(epoch << 32 | OPEN, Ordering::SeqCst);
        self.wake();
        let mine = catch_unwind(AssertUnwindSafe(|| self.take_part(0, job)));
        if mine.is_err() {
            // Leave nothing for the others to start.
            self.shares.clear();
        }
        self.state.fetch_and(!OPEN, Ordering::AcqRel);
        let mut wait = Wait::default();
        while self.state.load(Ordering::Acquire) & JOINED != 0 {
            self.ahead[0].fetch(FETCH);
            if !wait.spin() {
                self.sleep_until_left();
            }
        }
        if let Some((watch, start)) = opened {
            watch.region(start, Instant::now());
        }
        if let Err(p) = mine {
            resume_unwind(p);
        }
        if let Some(p) = self.panic.lock().unwrap_or_else(PoisonError::into_inner).take() {
            resume_unwind(p);
        }
    }

    /// Leader: the bytes that a thread will probably read first in the region after the next.
    pub fn expect(&self, worker: usize, bytes: &[u8]) {
        self.ahead[worker].set(bytes);
    }

    /// Leader: the bytes that it will read between the next region and the one after it; pieces past [`PIECES`] are left out.
    pub fn expect_alone<'a>(&self, bytes: impl Iterator<Item = &'a [u8]>) {
        let all = bytes.filter(|bytes| !bytes.is_empty()).chain(std::iter::repeat(&[][..]));
        self.alone.iter().zip(all).for_each(|(piece, bytes)| piece.set(bytes));
    }

    fn take_part(&self, worker: usize, job: Job<'_>) {
        match self.watch {
            None => self.chunks(worker, job),
            Some(watch) => {
                let start = Instant::now();
                self.chunks(worker, job);
                watch.busy(worker, start, Instant::now());
            }
        }
    }

    fn chunks(&self, worker: usize, job: Job<'_>) {
        while let Some(chunk) = self.shares.own(worker) {
            job(worker, chunk);
        }
        if worker == 0 {
            // The region's end is near: what is fetched now, its own data will not push out again.
            self.alone.iter().take_while(|piece| piece.fetch(usize::MAX)).for_each(|_| {});
        }
        while let Some(chunk) = self.shares.others() {
            job(worker, chunk);
        }
    }

    /// Worker: takes part in regions until dismissed.
    pub fn work(&self, worker: usize) {
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
                    if let Some(job) = job
                        && let Err(p) = catch_unwind(AssertUnwindSafe(|| self.take_part(worker, job)))
                    {
                        self.shares.clear();
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
            self.ahead[worker].fetch(FETCH);
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

    pub fn dismiss(&self) {
        self.quit.store(true, Ordering::SeqCst);
        self.wake();
    }
}

/// Memory that a thread fetches into its cache.
#[derive(Default)]
#[repr(align(128))]
struct Ahead {
    /// Addresses, which nothing but a prefetch ever sees.
    from: AtomicUsize,
    to: AtomicUsize,
}

impl Ahead {
    fn set(&self, bytes: &[u8]) {
        self.from.store(bytes.as_ptr() as usize, Ordering::Relaxed);
        self.to.store(bytes.as_ptr() as usize + bytes.len(), Ordering::Relaxed);
    }

    /// Fetches up to `most` more lines; `false` where none are left. Both sides may write at once: the worst that follows is
    /// a prefetch for nothing.
    fn fetch(&self, most: usize) -> bool {
        let (from, to) = (self.from.load(Ordering::Relaxed), self.to.load(Ordering::Relaxed));
        let lines = to.saturating_sub(from).div_ceil(64).min(most);
        (0..lines).for_each(|i| prefetch((from + i * 64) as *const u8));
        self.from.store(from + lines * 64, Ordering::Relaxed);
        lines > 0
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
