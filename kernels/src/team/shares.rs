//! Who does which chunk of a region.
//!
//! Every thread starts with a contiguous share, so that it reads on where it stopped and what it fetches ahead of a
//! chunk's end is its own next chunk. One that is done takes single chunks off the end of the largest share left: a core
//! that is slow, or busy with something else, does less.

use std::sync::atomic::{AtomicU64, Ordering};

/// The shares of all threads.
pub(super) struct Shares(Box<[Share]>);

/// `next << 32 | end`, alone in its cache lines.
#[repr(align(128))]
struct Share(AtomicU64);

/// Where the share of thread `i` of `threads` begins.
pub(super) fn start(chunks: usize, i: usize, threads: usize) -> usize {
    // Without overflow: chunks < 2^32, as are threads.
    (chunks as u64 * i as u64 / threads as u64) as usize
}

fn split(v: u64) -> [u64; 2] {
    [v >> 32, v & u64::from(u32::MAX)]
}

impl Share {
    /// Takes the first chunk (the owner) or the last.
    fn take(&self, owner: bool) -> Option<usize> {
        // Nothing but the claim itself is handed over here, so no ordering is needed.
        let old = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |v| {
            let [next, end] = split(v);
            (next < end).then(|| if owner { v + (1 << 32) } else { v - 1 })
        });
        let [next, end] = split(old.ok()?);
        Some(if owner { next } else { end - 1 } as usize)
    }
}

impl Shares {
    pub fn new(threads: usize) -> Self {
        Self((0..threads).map(|_| Share(AtomicU64::new(0))).collect())
    }

    /// Deals out chunks `0..chunks`; nobody may be taking any.
    ///
    /// # Panics
    /// At 2^32 chunks.
    pub fn deal(&self, chunks: usize) {
        assert!(u32::try_from(chunks).is_ok(), "a region has less than 2^32 chunks");
        let edge = |i| start(chunks, i, self.0.len()) as u64;
        for (i, share) in self.0.iter().enumerate() {
            share.0.store(edge(i) << 32 | edge(i + 1), Ordering::Relaxed);
        }
    }

    /// Takes everything away.
    pub fn clear(&self) {
        self.0.iter().for_each(|s| s.0.store(0, Ordering::Relaxed));
    }

    /// The next chunk of `worker`'s own share.
    pub fn own(&self, worker: usize) -> Option<usize> {
        self.0[worker].take(true)
    }

    /// A chunk of whoever has most left.
    pub fn others(&self) -> Option<usize> {
        loop {
            let left = |s: &&Share| {
                let [next, end] = split(s.0.load(Ordering::Relaxed));
                end.saturating_sub(next)
            };
            let fullest = self.0.iter().max_by_key(left)?;
            if left(&fullest) == 0 {
                return None;
            }
            // Another may have been faster; then look again.
            if let Some(chunk) = fullest.take(false) {
                return Some(chunk);
            }
        }
    }
}
