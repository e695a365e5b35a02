//! Attention to pooled positions (DeepSeek V4): one key for all heads, which is the value, too. A layer sees the last positions
//! and, in most layers, entries of its own besides: each stands for several neighbouring positions, whose values are weighted
//! channel by channel. Of short entries, an indexer chooses.

use super::attention::foresee_store;
use super::latent::heads;
use super::{Forward, SPLIT, Segment, Source, blocks_of, foresee, norm, norm_cost, quantize_rows, turns};
use crate::config::Indexer;
use crate::error::EngineError;
use crate::record::{Cost, Op};
use crate::weights::{MatrixRef, Pool, Pooled};
use hewn_kernels::op::activation::add;
use hewn_kernels::op::matmul::{Input, Product, matmul};
use hewn_kernels::op::pool::{Pooled as Row, pool};
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
    /// `t = O(concat over groups of A_g unrope(attention(rope(norm(Q h)), rope(norm(K h)))))`.
    pub(super) fn pooled_attention(
        &mut self,
        i: usize,
        w: &Pooled,
        segments: &mut [Segment<'_>],
    ) -> Result<(), EngineError> {
        self.s.latent.chosen.clear();
        // Where nobody will have to choose, nothing is compared.
        let indexed = segments.iter().any(|seg| !seg.seq.index.is_empty());
        let pools: Vec<&Pool> = w.pools().take(if indexed { 2 } else { 1 }).collect();
        self.pooled_products(i, w, &pools, segments)?;
        self.turn_pooled(i, w);
        if !pools.is_empty() {
            self.make_entries(i, &pools, segments)?;
        }
        if let (Some(x), Some(index), true) = (&self.model.config().indexer, &w.indexer, indexed) {
            self.choose_entries(i, x, &index.q, segments)?;
        }
        self.attend(i, Some(&w.sinks), segments)?;
        self.pooled_output(i, w)
    }

    /// `q`, `k`, what entries are made of (`pool.parts`), and how much an indexer's heads count.
    fn pooled_products(
        &mut self,
        i: usize,
        w: &Pooled,
        pools: &[&Pool],
        segments: &[Segment<'_>],
    ) -> Result<(), EngineError> {
        let (c, n, crew, gguf) = (self.model.config(), self.n, self.crew, self.model.gguf());
        let at = || format!("before the attention of layer {i}");
        let shares = w.indexer.as_ref().filter(|_| pools.len() > 1).map(|x| &x.shares);
        let made: Vec<&MatrixRef> = pools.iter().flat_map(|p| [&p.values, &p.scores]).collect();
        let all: Vec<&MatrixRef> = [&w.q_a, &w.k].into_iter().chain(shares).chain(made.iter().copied()).collect();
        self.quantize_h(&all, at)?;
        let s = &mut *self.s;
        let x = Input { floats: &s.h[..n * c.dim], blocks: blocks_of(&s.blocks, n, c.dim) };
        self.lap.op(Op::QkvProduct, || Cost::products(n, &all.iter().map(|w| w.view(gguf)).collect::<Vec<_>>()));
        foresee(crew, n, self.model, &[&w.q_b]);
        foresee_store(i, segments);
        let q_a = &mut s.latent.q_a[..n * w.q_a.rows];
        let mut products = vec![
            Product { w: w.q_a.view(gguf), x, out: &mut *q_a },
            Product { w: w.k.view(gguf), x, out: &mut s.k[..n * w.k.rows] },
        ];
        if let Some(shares) = shares {
            products.push(Product { w: shares.view(gguf), x, out: &mut s.latent.index[2][..n * shares.rows] });
        }
        let mut parts = &mut s.pool.parts[..];
        for w in made {
            products.push(Product { w: w.view(gguf), x, out: super::running::take(&mut parts, n * w.rows) });
        }
        matmul(crew, n, &mut products);
        self.lap.op(Op::Norm, || norm_cost(n, w.q_a.rows, Some(&w.q_a_norm)));
        crew.rows(q_a, w.q_a.rows, n >= SPLIT, |_, _, row| norm(crew.isa(), row, &w.q_a_norm, c.eps));
        let q = &mut s.q[..n * w.q_b.rows];
        let index = w.indexer.as_ref().filter(|_| pools.len() > 1).map(|x| &x.q);
        let quant = w.q_b.is_quant() || index.is_some_and(MatrixRef::is_quant);
        if quant {
            self.lap.op(Op::Quantize, || Cost::quantize(n, w.q_a.rows));
        }
        quantize_rows(crew, quant, q_a, w.q_a.rows, &mut s.blocks, at)?;
        let x = Input { floats: q_a, blocks: blocks_of(&s.blocks, n, w.q_a.rows) };
        self.lap.op(Op::QkvProduct, || {
            let views: Vec<_> = [&w.q_b].into_iter().chain(index).map(|w| w.view(gguf)).collect();
            Cost::products(n, &views)
        });
        let mut products = vec![Product { w: w.q_b.view(gguf), x, out: q }];
        if let Some(index) = index {
            products.push(Product { w: index.view(gguf), x, out: &mut s.latent.index[0][..n * index.rows] });
        }
        matmul(crew, n, &mut products);
        Ok(())
    }

    /// Norms and turns queries and keys, whose last channels are those that turn; `v = k`.
    fn turn_pooled(&mut self, i: usize, w: &Pooled) {
        let (c, n, crew) = (self.model.config(), self.n, self.crew);
        let (dim, width) = (c.k_dim, c.heads * c.k_dim);
        self.lap.op(Op::Rope, || Cost::elements(n, width + 2 * dim, 2, 5));
        let s = &mut *self.s;
        let (cos, sin, table) = (&s.cos, &s.sin, c.rope_of(i).unwrap_or(0));
        let turn = |r: usize, head: &mut [f32]| {
            let at = turns(c, table, n, r);
            let tail = &mut head[dim - c.rope.dim..];
            rope(crew.isa(), tail, c.rope.dim, c.arch.pairing, &cos[at.clone()], &sin[at]);
        };
        crew.rows(&mut s.q[..n * width], width, n >= SPLIT, |_, r, row| {
            for head in row.chunks_exact_mut(dim) {
                norm(crew.isa(), head, &w.q_norm, c.eps);
                turn(r, head);
            }
        });
        crew.rows(&mut s.k[..n * dim], dim, n >= SPLIT, |_, r, row| {
            norm(crew.isa(), row, &w.k_norm, c.eps);
            turn(r, row);
        });
        let k = &s.k;
        crew.rows(&mut s.v[..n * dim], dim, n >= SPLIT, |_, r, v| v.copy_from_slice(&k[r * dim..][..dim]));
    }

    /// Appends the entries that are whole with this step's rows, of each kind, and keeps what later ones need.
    fn make_entries(&mut self, i: usize, pools: &[&Pool], segments: &mut [Segment<'_>]) -> Result<(), EngineError> {
        let (c, n, crew) = (self.model.config(), self.n, self.crew);
        let (Some(p), Some(ratio)) = (&c.pooling, c.pooled_of(i)) else { return Ok(()) };
        let dims: Vec<usize> = c.entries_of(i).take(pools.len()).collect();
        let (channels, overlaps) = (c.pool_width(i), p.overlaps(i));
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
            let width = p.width(i, dim);
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
                let take = |pos: usize, half: Range<usize>| {
                    let all = of(pos);
                    Row { values: &all[part(&values, &half)], scores: &all[part(&scores, &half)] }
                };
                let taken: Vec<Row<'_>> = earlier
                    .map(|pos| take(pos, 0..dim))
                    .chain((from..=last).map(|pos| take(pos, own.clone())))
                    .collect();
                pool(crew.isa(), &taken, entry);
                norm(crew.isa(), entry, &pool_of.norm, c.eps);
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
                match kind {
                    0 => seg.seq.pooled[i].append(crew.isa(), entries, entries)?,
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
                let values = super::running::take(&mut rest, width);
                values.copy_from_slice(&parts[at + r * width..][..width]);
                at += n * width;
                let scores = super::running::take(&mut rest, width);
                scores.copy_from_slice(&parts[at + r * width..][..width]);
                at += n * width;
                add(scores, &pool.places[positions[r] % ratio * width..][..width]);
            }
            // Of a kind of entry that nobody will ask for.
            rest.fill(0.0);
        });
    }

    /// The entries with the best scores for each row, where there are more than it may see.
    fn choose_entries(
        &mut self,
        i: usize,
        x: &Indexer,
        q: &MatrixRef,
        segments: &[Segment<'_>],
    ) -> Result<(), EngineError> {
        let (c, n, crew) = (self.model.config(), self.n, self.crew);
        let s = &mut *self.s;
        let (cos, sin, table) = (&s.cos, &s.sin, c.rope_of(i).unwrap_or(0));
        self.lap.op(Op::Rope, || Cost::elements(n, q.rows, 2, 3));
        crew.rows(&mut s.latent.index[0][..n * q.rows], q.rows, n >= SPLIT, |_, r, row| {
            let at = turns(c, table, n, r);
            for head in row.chunks_exact_mut(x.dim) {
                let tail = &mut head[x.dim - c.rope.dim..];
                rope(crew.isa(), tail, c.rope.dim, c.arch.pairing, &cos[at.clone()], &sin[at.clone()]);
            }
        });
        let mut row = 0;
        for seg in segments {
            for pos in seg.seq.len()..seg.seq.len() + seg.tokens.len() {
                let seen = (pos + 1) / x.ratio;
                let chosen = match seg.seq.index.get(i) {
                    Some(keys) if seen > x.most => Some(self.best(x, row, &keys[..seen * x.dim])?),
                    _ => None,
                };
                self.s.latent.chosen.push(chosen);
                row += 1;
            }
        }
        Ok(())
    }

    /// Turns the heads' outputs back, as the values were turned, and takes them to the stream: `t`.
    fn pooled_output(&mut self, i: usize, w: &Pooled) -> Result<(), EngineError> {
        let (c, n, crew, gguf) = (self.model.config(), self.n, self.crew, self.model.gguf());
        let Some(p) = &c.pooling else { return Ok(()) };
        let (dim, width, groups) = (c.k_dim, c.heads * c.k_dim, p.groups);
        let own = width / groups;
        self.lap.op(Op::Regroup, || Cost::elements(n, width, 4, 3));
        let s = &mut *self.s;
        let (cos, sin, table) = (&s.cos, &s.sin, c.rope_of(i).unwrap_or(0));
        crew.rows(&mut s.att[..n * width], width, n >= SPLIT, |_, r, row| {
            let at = turns(c, table, n, r);
            let back: Vec<f32> = sin[at.clone()].iter().map(|v| -v).collect();
            for head in row.chunks_exact_mut(dim) {
                rope(crew.isa(), &mut head[dim - c.rope.dim..], c.rope.dim, c.arch.pairing, &cos[at.clone()], &back);
            }
        });
        let att = &s.att;
        crew.rows(&mut s.latent.heads_in[..n * width], own, n >= SPLIT, |_, j, row| {
            let (group, r) = (j / n, j % n);
            row.copy_from_slice(&att[r * width + group * own..][..own]);
        });
        let at = || format!("after the attention of layer {i}");
        heads(self, w.o_a.is_quant(), [groups, own, p.out_rank], |g| w.o_a.view(gguf, g), at)?;
        let s = &mut *self.s;
        let (from, rank) = (&s.latent.heads_out, p.out_rank);
        self.lap.op(Op::Regroup, || Cost::elements(n, groups * rank, 2, 0));
        crew.rows(&mut s.latent.out[..n * groups * rank], groups * rank, n >= SPLIT, |_, r, row| {
            for (g, out) in row.chunks_exact_mut(rank).enumerate() {
                out.copy_from_slice(&from[(g * n + r) * rank..][..rank]);
            }
        });
        let then = self.after_attention(i);
        self.project(Source::Latent, &w.o, &then, at)
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
