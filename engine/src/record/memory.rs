//! A recorder that keeps everything in memory until it is asked for it.

use super::{OpEvent, Recorder, StepEvent};
use hewn_kernels::TeamWatch;
use std::mem::take;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// A thread that worked in a region.
#[derive(Clone, Copy, Debug)]
pub struct Busy {
    /// The thread, 0 for the leader.
    pub worker: usize,
    /// From when.
    pub start: Instant,
    /// Until when.
    pub end: Instant,
}

/// What was recorded, each kind in order of its end.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    /// Steps.
    pub steps: Vec<StepEvent>,
    /// Operations.
    pub ops: Vec<OpEvent>,
    /// Regions, from when until when.
    pub regions: Vec<(Instant, Instant)>,
    /// Work of threads in them, thread by thread.
    pub busy: Vec<Busy>,
    /// Events that found no room.
    pub dropped: u64,
}

/// A thread's own list, in cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct List(Mutex<Vec<Busy>>);

/// Keeps what it is told in memory, up to a number of events.
#[derive(Debug)]
pub struct MemoryRecorder {
    limit: usize,
    /// All but the work of threads.
    rest: Mutex<Recording>,
    threads: Box<[List]>,
    dropped: AtomicU64,
}

fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemoryRecorder {
    /// For a team of `threads`, with room for `limit` events of each kind and thread (48 to 120 bytes each, taken as
    /// they come); later ones are counted and dropped.
    pub fn new(threads: usize, limit: usize) -> Self {
        let threads = (0..threads.max(1)).map(|_| List::default()).collect();
        Self { limit, rest: Mutex::default(), threads, dropped: AtomicU64::new(0) }
    }

    /// Everything up to now; it starts anew.
    pub fn take(&self) -> Recording {
        let mut all = take(&mut *lock(&self.rest));
        all.busy = self.threads.iter().flat_map(|t| take(&mut *lock(&t.0))).collect();
        all.dropped = self.dropped.swap(0, Ordering::Relaxed);
        all
    }

    fn push<T>(&self, list: &mut Vec<T>, v: T) {
        // Memory that is not there must not end the process in the middle of a step.
        if list.len() < self.limit && list.try_reserve(1).is_ok() {
            list.push(v);
        } else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl TeamWatch for MemoryRecorder {
    fn busy(&self, worker: usize, start: Instant, end: Instant) {
        match self.threads.get(worker) {
            Some(list) => self.push(&mut lock(&list.0), Busy { worker, start, end }),
            None => _ = self.dropped.fetch_add(1, Ordering::Relaxed),
        }
    }

    fn region(&self, start: Instant, end: Instant) {
        self.push(&mut lock(&self.rest).regions, (start, end));
    }
}

impl Recorder for MemoryRecorder {
    fn op(&self, event: &OpEvent) {
        self.push(&mut lock(&self.rest).ops, *event);
    }

    fn step(&self, event: &StepEvent) {
        self.push(&mut lock(&self.rest).steps, *event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_is_counted() {
        let (r, now) = (MemoryRecorder::new(2, 3), Instant::now());
        for _ in 0..5 {
            r.region(now, now);
            r.busy(1, now, now);
        }
        r.busy(7, now, now);
        let all = r.take();
        assert_eq!((all.regions.len(), all.busy.len(), all.dropped), (3, 3, 5));
        assert_eq!(r.take().regions.len(), 0);
    }
}
