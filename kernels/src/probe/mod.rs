//! The ceilings of this machine: how fast its threads can read memory, and how fast they can multiply and add.
//!
//! Decoding one token reads every weight once, so `bytes read per token / read rate` is the least time it can take;
//! a long prompt is integer multiply-adds, so `operations / 8-bit rate` is the least time for that. A kernel's speed
//! means something only beside these two, measured with the same threads and the same instruction set:
//!
//! ```text
//! ceiling(kernel) = min(8-bit rate, operations per byte * read rate)
//! ```
//!
//! [`read`] has the memory side and [`compute`] the arithmetic; [`kernels`] has what is to be seen beside them. Both run on a [`Team`], as the kernels do, with all of
//! its threads at once. Every figure is the best of several passes: what disturbs a measurement only ever slows it.

pub mod caches;
pub mod compute;
pub mod kernels;
pub mod read;

pub use caches::{Cache, data_caches};
pub use compute::{DotKind, dot_rate, fma_rate};
pub use read::{Buffer, cached_read_rate, read_rate, read_rate_of};

use crate::team::{Crew, Team, TeamError};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Runs `job(worker)` once on every thread of the team, all at the same time; returns how long it took.
fn together(team: &Team, job: &(dyn Fn(usize) + Sync)) -> Result<Duration, TeamError> {
    team.step(|crew| {
        meet(crew, &|_| {});
        let start = Instant::now();
        meet(crew, job);
        start.elapsed()
    })
}

/// One region in which every thread takes part: nobody starts before all have come, so nobody takes two pieces.
/// An empty one wakes the team up before something is timed.
fn meet(crew: &Crew<'_>, job: &(dyn Fn(usize) + Sync)) {
    let here = AtomicUsize::new(0);
    crew.run(crew.threads(), &|worker, _| {
        here.fetch_add(1, Ordering::SeqCst);
        while here.load(Ordering::SeqCst) < crew.threads() {
            std::thread::yield_now();
        }
        job(worker);
    });
}

/// The best of `passes` rates of `f(turns) -> (time, units)`, with as many turns as take about `time`.
fn best_rate(
    passes: usize,
    time: Duration,
    f: impl Fn(u64) -> Result<(Duration, f64), TeamError>,
) -> Result<f64, TeamError> {
    let mut turns = 1;
    // The shorter of two: one that another process was in the middle of would end the search far too early.
    while turns < 1 << 40 && f(turns)?.0.min(f(turns)?.0) < time / 2 {
        turns *= 2;
    }
    let mut best = 0.0f64;
    for _ in 0..passes.max(1) {
        let (spent, units) = f(turns)?;
        best = best.max(units / spent.as_secs_f64().max(1e-9));
    }
    Ok(best)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::CpuIsa;

    #[test]
    fn every_thread_does_its_part_once() {
        for threads in [1, 3] {
            let team = Team::new(threads, CpuIsa::best()).unwrap();
            let hits: Vec<AtomicUsize> = (0..threads).map(|_| AtomicUsize::new(0)).collect();
            together(&team, &|w| _ = hits[w].fetch_add(1, Ordering::SeqCst)).unwrap();
            assert!(hits.iter().all(|h| h.load(Ordering::SeqCst) == 1));
        }
    }

    #[test]
    fn every_instruction_set_yields_figures() {
        let short = Duration::from_micros(200);
        for isa in CpuIsa::available() {
            let team = Team::new(2, isa).unwrap();
            let buffer = Buffer::new(&team, 1 << 20).unwrap();
            let bytes = vec![1; 2 << 20];
            let rates = [
                read_rate(&team, &buffer, 1).unwrap(),
                // Lines in part, and more than a piece.
                read_rate_of(&team, &[&bytes[1..2_000_001], &[], &bytes[7..70]], 1).unwrap(),
                cached_read_rate(&team, &Buffer::new(&team, 16 << 10).unwrap(), short, 1).unwrap(),
                dot_rate(&team, DotKind::Narrow, short, 1).unwrap(),
                dot_rate(&team, DotKind::Signed, short, 1).unwrap(),
                fma_rate(&team, short, 1).unwrap(),
            ];
            assert!(rates.iter().all(|r| r.is_finite() && *r > 0.0), "{}: {rates:?}", isa.kind());
            for nothing in [&[][..], &[&[][..], &bytes[..1]]] {
                assert!(matches!(read_rate_of(&team, nothing, 1), Ok(0.0)));
            }
        }
    }
}
