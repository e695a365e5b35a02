//! Memory: the rate at which the team's threads can read, with loads of the widest registers and several streams a
//! thread, and with nothing done to the data but adding it up. From huge pages, as weights lie where the system has
//! them, and in several ways, of which the fastest counts: on a server with memory far away, the lines ahead must be
//! asked for, as the kernels do, lest products read faster than the ceiling.

use super::{best_rate, meet, together};
use crate::isa::{CpuIsa, Isa, Kernel, each, read_ahead};
use crate::pages::Pages;
use crate::team::{Team, TeamError};
use std::hint::black_box;
use std::time::{Duration, Instant};

const LINE: usize = 64;
/// Bytes that a thread takes at a time from the large buffer.
const PIECE: usize = 1 << 20;
/// The most bytes that a pass over given memory reads.
pub const SAMPLE: usize = 1 << 30;
/// Places of a piece that are read side by side. Four are a third faster than one on the machine this was written on:
/// a core's prefetcher stops at the end of a page, and four pages do not end at once.
const STREAMS: usize = 4;
/// Lines read in one round of the loop.
const ROUND: usize = 2 * STREAMS;

/// How far ahead of the lines in use the next are asked for, in bytes: into the nearest cache and into the second. Tried
/// beside the distances that weights are read with.
const AHEAD: [usize; 2] = [2048, 4096];

/// Memory to read from: far larger than the caches, every page of it present.
pub struct Buffer(Pages);

impl Buffer {
    /// At least `bytes` of memory, written by all threads so that its pages lie where the threads are; `None` when
    /// there is not that much.
    pub fn new(team: &Team, bytes: usize) -> Option<Self> {
        // Whole rounds of the loop in `Sum`.
        let mut pages = Pages::zeroed(bytes.max(1).checked_next_multiple_of(ROUND * LINE)?, LINE)?;
        // One byte in every 4 KiB page.
        team.step(|crew| crew.rows(&mut pages, 4096, true, |_, i, page| page[0] = i as u8)).ok()?;
        Some(Self(pages))
    }

    /// Bytes of it, as whole cache lines.
    pub fn bytes(&self) -> usize {
        self.0.len()
    }

    fn lines(&self) -> &[[u8; LINE]] {
        self.0.as_chunks().0
    }
}

/// Adds up the lines, `STREAMS` places of them side by side; with `ASK` those so far ahead are asked for.
struct Sum<'a, const ASK: bool>(&'a [[u8; LINE]], [usize; 2]);

impl<const ASK: bool> Kernel for Sum<'_, ASK> {
    type Out = i32;

    #[inline(always)]
    fn call<S: Isa>(self, s: S) -> i32 {
        let part = self.0.len() / STREAMS;
        let (a, rest) = self.0.split_at(part);
        let (b, rest) = rest.split_at(part);
        let (c, rest) = rest.split_at(part);
        let d = &rest[..part];
        let [near, far] = self.1;
        let mut acc = [s.i_splat(0); ROUND];
        let mut i = 0;
        while i + 1 < part {
            if ASK {
                for stream in [a, b, c, d] {
                    let at = stream[i].as_ptr();
                    each!(2, line => {
                        s.prefetch(at.wrapping_add(near + line * LINE));
                        s.prefetch_far(at.wrapping_add(far + line * LINE));
                    });
                }
            }
            acc[0] = s.i_add(acc[0], s.i_load(&a[i]));
            acc[1] = s.i_add(acc[1], s.i_load(&b[i]));
            acc[2] = s.i_add(acc[2], s.i_load(&c[i]));
            acc[3] = s.i_add(acc[3], s.i_load(&d[i]));
            acc[4] = s.i_add(acc[4], s.i_load(&a[i + 1]));
            acc[5] = s.i_add(acc[5], s.i_load(&b[i + 1]));
            acc[6] = s.i_add(acc[6], s.i_load(&c[i + 1]));
            acc[7] = s.i_add(acc[7], s.i_load(&d[i + 1]));
            i += 2;
        }
        let mut sum = acc[0];
        for k in 1..ROUND {
            sum = s.i_add(sum, acc[k]);
        }
        s.i_sum(sum)
    }
}

/// The same in one stream, with the lines so far ahead asked for.
struct SumInOrder<'a>(&'a [[u8; LINE]], [usize; 2]);

impl Kernel for SumInOrder<'_> {
    type Out = i32;

    #[inline(always)]
    fn call<S: Isa>(self, s: S) -> i32 {
        let [near, far] = self.1;
        let mut acc = [s.i_splat(0); ROUND];
        for lines in self.0.as_chunks::<ROUND>().0 {
            each!(8, k => {
                s.prefetch(lines[k].as_ptr().wrapping_add(near));
                s.prefetch_far(lines[k].as_ptr().wrapping_add(far));
                acc[k] = s.i_add(acc[k], s.i_load(&lines[k]));
            });
        }
        let mut sum = acc[0];
        for k in 1..ROUND {
            sum = s.i_add(sum, acc[k]);
        }
        s.i_sum(sum)
    }
}

/// A way to read lines, asking so far ahead.
type Way = fn(CpuIsa, &[[u8; LINE]], [usize; 2]);

fn sum<const ASK: bool>(isa: CpuIsa, lines: &[[u8; LINE]], ahead: [usize; 2]) {
    black_box(isa.run_lanes(Sum::<ASK>(black_box(lines), ahead)));
}

fn sum_in_order(isa: CpuIsa, lines: &[[u8; LINE]], ahead: [usize; 2]) {
    black_box(isa.run_lanes(SumInOrder(black_box(lines), ahead)));
}

/// Bytes per second that all threads of the team together read from `buffer`: the best of `passes`, at least one, of
/// each way to read.
///
/// # Errors
/// A thread of the team panicked.
pub fn read_rate(team: &Team, buffer: &Buffer, passes: usize) -> Result<f64, TeamError> {
    let pieces: Vec<_> = buffer.lines().chunks(PIECE / LINE).collect();
    pieces_rate(team, &pieces, passes)
}

/// The same from memory that is there already, wherever it lies: of more than [`SAMPLE`] bytes, pieces of a megabyte spread
/// evenly over all of it. 0 when there is none.
///
/// # Errors
/// A thread of the team panicked.
pub fn read_rate_of(team: &Team, memory: &[&[u8]], passes: usize) -> Result<f64, TeamError> {
    let mut pieces = Vec::new();
    for part in memory {
        // Whole lines, as a thread reads them.
        let lines: &[[u8; LINE]] = part.get(part.as_ptr().align_offset(LINE)..).unwrap_or(&[]).as_chunks().0;
        pieces.extend(lines.chunks(PIECE / LINE));
    }
    let step = pieces.len().div_ceil(SAMPLE / PIECE).max(1);
    pieces_rate(team, &pieces.into_iter().step_by(step).collect::<Vec<_>>(), passes)
}

fn pieces_rate(team: &Team, pieces: &[&[[u8; LINE]]], passes: usize) -> Result<f64, TeamError> {
    let bytes = pieces.iter().map(|p| size_of_val(*p)).sum::<usize>() as f64;
    let weights = read_ahead(team.isa().kind()).in_order;
    let ways = [
        (sum::<false> as Way, [0; 2]),
        (sum::<true>, AHEAD),
        (sum::<true>, weights),
        (sum_in_order, AHEAD),
        (sum_in_order, weights),
    ];
    let mut best = 0.0f64;
    for _ in 0..passes.max(1) {
        for (read, ahead) in ways {
            let time = team.step(|crew| {
                meet(crew, &|_| {});
                let start = Instant::now();
                crew.run(pieces.len(), &|_, c| read(crew.isa(), pieces[c], ahead));
                start.elapsed()
            })?;
            best = best.max(bytes / time.as_secs_f64().max(1e-9));
        }
    }
    Ok(best)
}

/// Bytes per second that all threads together read when each goes again and again through the same small `buffer`: the
/// rate of the cache that holds it. A pass takes about `time`.
///
/// # Errors
/// A thread of the team panicked.
pub fn cached_read_rate(team: &Team, buffer: &Buffer, time: Duration, passes: usize) -> Result<f64, TeamError> {
    let lines = buffer.lines();
    let bytes = (team.threads() * lines.len() * LINE) as f64;
    best_rate(passes, time, |turns| {
        let spent = together(team, &|_| (0..turns).for_each(|_| sum::<false>(team.isa(), lines, [0; 2])))?;
        Ok((spent, bytes * turns as f64))
    })
}
