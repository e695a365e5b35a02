//! Entries that each stand for several neighbouring positions: of each channel the mean of what these give, weighted by a
//! softmax of their scores. Rows that are no whole entry yet are kept as a running state.

use super::running::take;
use super::{Forward, SPLIT, Segment, norm};
use crate::error::EngineError;
use crate::record::{Cost, Op};
use crate::weights::Pool;
use hewn_kernels::op::activation::add;
use hewn_kernels::op::pool::{Pooled, pool};
use hewn_kernels::op::rope::{angles, rope};
use hewn_kernels::state::RunningState;
use std::ops::Range;

/// An entry whose last position is in this step.
#[derive(Clone, Copy)]
struct Due {
    /// The segment.
    seg: usize,
    /// Its last position, and that position's row.
    last: usize,
    row: usize,
}

impl Forward<'_, '_> {
    /// Appends the entries that are whole with this step's rows, of each kind, and keeps what later ones need.
    pub(super) fn make_entries(
        &mut self,
        i: usize,
        pools: &[&Pool],
        segments: &mut [Segment<'_>],
    ) -> Result<(), EngineError> {
        let (c, n, crew) = (self.model.config(), self.n, self.crew);
        let Some(ratio) = c.pool_ratio(i) else { return Ok(()) };
        let dims: Vec<usize> = c.entries_of(i).take(pools.len()).collect();
        let (channels, overlaps) = (c.pool_width(i), c.pools_overlap(i));
        self.gather_parts(ratio, pools, channels, segments);

        let mut due = Vec::new();
        let mut first = 0;
        for (seg, part) in segments.iter().enumerate() {
            let rows = part.tokens.len();
            let lasts = (part.seq.len()..).zip(first..first + rows).filter(|(pos, _)| (pos + 1).is_multiple_of(ratio));
            due.extend(lasts.map(|(last, row)| Due { seg, last, row }));
            first += rows;
        }
        let mut states = Vec::with_capacity(segments.len());
        for seg in segments.iter() {
            let state = seg.seq.states.get(i).and_then(Option::as_ref).ok_or(EngineError::ForeignSequence)?;
            states.push((seg.seq.len(), state, &self.model.ropes(seg.seq.ctx())[0]));
        }
        let (mut at, mut made) = (0, 0);
        for (pool_of, &dim) in pools.iter().zip(&dims) {
            let width = c.pooled_width(i, dim);
            let (values, scores) = (at..at + width, at + width..at + 2 * width);
            at += 2 * width;
            // Each value takes an exponential, a product and a sum.
            self.lap.op(Op::Convolution, || Cost::elements(due.len() * ratio * (width / dim), dim, 2, 22));
            let s = &mut *self.s;
            let rows = &s.pool.rows;
            let out = &mut s.pool.entries[made..made + due.len() * dim];
            made += out.len();
            crew.rows(out, dim, due.len() >= SPLIT, |_, j, entry| {
                let Due { seg, last, row } = due[j];
                let (start, state, table) = states[seg];
                let of = |pos: usize| row_of(rows, channels, row - (last - start), start, state, pos);
                let from = last + 1 - ratio;
                // The entry before reads the first half of the channels, where there is one.
                let earlier = if overlaps { from.saturating_sub(ratio)..from } else { from..from };
                let own = if overlaps { dim..2 * dim } else { 0..dim };
                let part = |all: &Range<usize>, half: &Range<usize>| all.start + half.start..all.start + half.end;
                let halves = |pos: usize, half: Range<usize>| {
                    let all = of(pos);
                    Pooled { values: &all[part(&values, &half)], scores: &all[part(&scores, &half)] }
                };
                let taken: Vec<Pooled<'_>> = earlier
                    .map(|pos| halves(pos, 0..dim))
                    .chain((from..=last).map(|pos| halves(pos, own.clone())))
                    .collect();
                pool(crew.isa(), &taken, entry);
                let Some(with) = &pool_of.norm else { return };
                norm(crew.isa(), entry, with, c.eps);
                let half = c.rope.dim / 2;
                let (mut cos, mut sin) = (vec![0.0; half], vec![0.0; half]);
                angles(from as u32, &table.freqs, table.magnitude, &mut cos, &mut sin);
                rope(crew.isa(), &mut entry[dim - c.rope.dim..], c.rope.dim, c.arch.pairing, &cos, &sin);
            });
        }
        drop(states);
        self.lap.op(Op::KvStore, || Cost::elements(due.len(), dims.iter().sum(), 2, 0));
        let (mut first, mut next) = (0, 0);
        for (j, seg) in segments.iter_mut().enumerate() {
            let count = due[next..].iter().take_while(|d| d.seg == j).count();
            let mut all = &self.s.pool.entries[..];
            for (kind, &dim) in dims.iter().enumerate() {
                let entries = &all[next * dim..(next + count) * dim];
                all = &all[due.len() * dim..];
                match (kind, seg.seq.pooled.get_mut(i)) {
                    (0, Some(attended)) => attended.append(crew.isa(), entries, entries)?,
                    _ => keep_keys(seg, i, ratio, dim, entries)?,
                }
            }
            next += count;
            let rows = &self.s.pool.rows[first * channels..(first + seg.tokens.len()) * channels];
            if let Some(state) = seg.seq.states.get_mut(i).and_then(Option::as_mut) {
                state.push(rows);
            }
            first += seg.tokens.len();
        }
        debug_assert_eq!(first, n);
        Ok(())
    }

    /// `pool.rows` = what entries are made of, row by row, the scores with those of their places.
    fn gather_parts(&mut self, ratio: usize, pools: &[&Pool], channels: usize, segments: &[Segment<'_>]) {
        let (n, crew) = (self.n, self.crew);
        self.lap.op(Op::Regroup, || Cost::elements(n, channels, 2, 1));
        let positions: Vec<usize> =
            segments.iter().flat_map(|seg| seg.seq.len()..seg.seq.len() + seg.tokens.len()).collect();
        let s = &mut *self.s;
        let parts = &s.pool.parts;
        crew.rows(&mut s.pool.rows[..n * channels], channels, n >= SPLIT, |_, r, row| {
            let (mut at, mut rest) = (0, row);
            for pool in pools {
                let width = pool.values.rows;
                let values = take(&mut rest, width);
                values.copy_from_slice(&parts[at + r * width..][..width]);
                at += n * width;
                let scores = take(&mut rest, width);
                scores.copy_from_slice(&parts[at + r * width..][..width]);
                at += n * width;
                add(scores, &pool.places[positions[r] % ratio * width..][..width]);
            }
            // Of a kind of entry that nobody will ask for.
            rest.fill(0.0);
        });
    }
}

/// What position `pos` gives entries: a row of this step, whose segment begins at row `first` with position `start`, or one
/// that was kept.
fn row_of<'a>(
    rows: &'a [f32],
    channels: usize,
    first: usize,
    start: usize,
    state: &'a RunningState,
    pos: usize,
) -> &'a [f32] {
    match pos.checked_sub(start) {
        Some(i) => &rows[(first + i) * channels..][..channels],
        None => state.before(start - pos),
    }
}

/// Appends what an indexer compares its queries with, where the sequence has one.
fn keep_keys(seg: &mut Segment<'_>, i: usize, ratio: usize, dim: usize, new: &[f32]) -> Result<(), EngineError> {
    let before = seg.seq.len() / ratio * dim;
    let Some(keys) = seg.seq.index.get_mut(i) else { return Ok(()) };
    // Those of a step that failed.
    keys.truncate(before);
    let memory = EngineError::Memory { what: "the keys of an indexer", bytes: size_of_val(new) };
    keys.try_reserve(new.len()).map_err(|_| memory)?;
    keys.extend_from_slice(new);
    Ok(())
}
