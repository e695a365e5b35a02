//! DeepSeek's sparse attention (DeepSeek V3.2): of many positions, a query attends to those with the best scores, which small heads
//! of their own give. MiniMax M3's queries attend to the best blocks of positions, for each key/value head those that a small head
//! gives the best scores.

use super::{Forward, SPLIT, Segment, blocks_of, norm, quantize_rows};
use crate::config;
use crate::error::{EngineError, zeroed};
use crate::record::{Cost, Op};
use crate::weights::{Indexer, Norm};
use hewn_kernels::Format;
use hewn_kernels::op::matmul::{Input, Layout, Matrix, Product, matmul};
use hewn_kernels::op::rope::rope;

/// Scores that a thread makes at a time.
const PART: usize = 256;

impl Forward<'_, '_> {
    /// Keeps the rows' keys, and chooses the positions that they attend to, where there are more than they may. Without weights
    /// the choice of the layer before stays, or there is none.
    pub(super) fn index(
        &mut self,
        i: usize,
        w: Option<&Indexer>,
        segments: &mut [Segment<'_>],
    ) -> Result<(), EngineError> {
        let model = self.model;
        let Some(x) = &model.config().indexer else { return Ok(()) };
        if w.is_some() || !x.shared {
            self.s.latent.chosen.clear();
        }
        let Some(w) = w else { return Ok(()) };
        if segments.iter().all(|seg| seg.seq.index.is_empty()) {
            return Ok(());
        }
        self.index_products(i, x, w)?;
        if let Some(pool) = &w.pool {
            self.make_entries(i, &[pool], segments)?;
            return self.choose_pools(i, x, segments);
        }
        let n = self.n;
        let mut row = 0;
        for seg in segments.iter_mut() {
            let rows = row..row + seg.tokens.len();
            row = rows.end;
            let before = seg.seq.len();
            let Some(keys) = seg.seq.index.get_mut(i) else {
                self.s.latent.chosen.extend(rows.map(|_| None));
                continue;
            };
            // Those of a step that failed.
            keys.truncate(before * x.dim);
            let more = (rows.len()) * x.dim;
            let memory = EngineError::Memory { what: "the keys of an indexer", bytes: more * size_of::<f32>() };
            keys.try_reserve(more).map_err(|_| memory)?;
            keys.extend_from_slice(&self.s.latent.index[1][rows.start * x.dim..rows.end * x.dim]);
            for (r, pos) in rows.zip(before..) {
                let keys = &keys[..(pos + 1) * x.dim];
                let chosen = match &x.blocks {
                    _ if pos < x.most => None,
                    Some(blocks) => Some(self.best_blocks(x, blocks, r, keys)?),
                    None => Some(self.best(x, r, keys)?),
                };
                self.s.latent.chosen.push(chosen);
            }
        }
        debug_assert_eq!(self.s.latent.chosen.len(), n);
        Ok(())
    }

    /// The rows' queries and keys, turned, and how much their heads count.
    fn index_products(&mut self, i: usize, x: &config::Indexer, w: &Indexer) -> Result<(), EngineError> {
        let (c, n, crew, gguf) = (self.model.config(), self.n, self.crew, self.model.gguf());
        let at = || format!("before the indexer of layer {i}");
        let of_stream: Vec<_> = w.first().chain(w.q_norm.as_ref().map(|_| &w.q)).collect();
        self.quantize_h(&of_stream, at)?;
        let s = &mut *self.s;
        let h = Input { floats: &s.h[..n * c.dim], blocks: blocks_of(&s.blocks, n, c.dim) };
        let [q, k, shares] = &mut s.latent.index;
        let q = &mut q[..n * x.heads * x.dim];
        // What is pooled lies where that is looked for.
        let (k, scores) = match &w.pool {
            Some(_) => s.pool.parts[..2 * n * x.dim].split_at_mut(n * x.dim),
            None => (&mut k[..n * x.dim], &mut [][..]),
        };
        self.lap.op(Op::QkvProduct, || {
            Cost::products(n, &w.first().chain([&w.q]).map(|w| w.view(gguf)).collect::<Vec<_>>())
        });
        let mut products = vec![Product { w: w.k.view(gguf), x: h, out: &mut *k }];
        if let Some(w) = &w.shares {
            products.push(Product { w: w.view(gguf), x: h, out: &mut shares[..n * x.heads] });
        }
        if let Some(pool) = &w.pool {
            products.push(Product { w: pool.scores.view(gguf), x: h, out: scores });
        }
        match w.q_norm {
            Some(_) => {
                products.push(Product { w: w.q.view(gguf), x: h, out: &mut *q });
                matmul(crew, n, &mut products);
            }
            None => {
                matmul(crew, n, &mut products);
                let (rank, q_a) = (w.q.cols, &s.latent.q_a[..n * w.q.cols]);
                quantize_rows(crew, w.q.is_quant(), q_a, rank, &mut s.blocks, at)?;
                let compressed = Input { floats: q_a, blocks: blocks_of(&s.blocks, n, rank) };
                matmul(crew, n, &mut [Product { w: w.q.view(gguf), x: compressed, out: &mut *q }]);
            }
        }

        let (half, cos, sin) = (c.rope.dim / 2, &s.cos, &s.sin);
        let Some(kind) = &c.arch.indexed else { return Ok(()) };
        self.lap.op(Op::Rope, || Cost::elements(n, (x.heads + 1) * x.dim, 2, 3));
        let finish = |with: Option<&Norm>, r: usize, head: &mut [f32]| {
            if let Some(with) = with {
                norm(crew.isa(), head, with, x.eps);
            }
            let (cos, sin, part) = (&cos[r * half..][..half], &sin[r * half..][..half], &mut head[x.turned_from..]);
            rope(crew.isa(), part, x.dim - x.turned_from, kind.pairing, cos, sin);
        };
        crew.rows(q, x.heads * x.dim, n >= SPLIT, |_, r, row| {
            row.chunks_exact_mut(x.dim).for_each(|head| finish(w.q_norm.as_ref(), r, head));
        });
        crew.rows(k, x.dim, n >= SPLIT, |_, r, row| finish(Some(&w.k_norm), r, row));
        Ok(())
    }

    /// The positions of the keys with the best scores for each row, where there are more than it may choose, and those behind
    /// the last key.
    fn choose_pools(&mut self, i: usize, x: &config::Indexer, segments: &[Segment<'_>]) -> Result<(), EngineError> {
        let mut row = 0;
        for seg in segments {
            for pos in seg.seq.len()..seg.seq.len() + seg.tokens.len() {
                let whole = (pos + 1) / x.ratio;
                let chosen = match seg.seq.index.get(i) {
                    Some(keys) if whole > x.most => {
                        let keys = self.best(x, row, &keys[..whole * x.dim])?;
                        let mut seen: Vec<u64> = zeroed(pos / 64 + 1, "the choice of an indexer")?;
                        let chosen = (0..whole).filter(|key| keys[key / 64] >> (key % 64) & 1 == 1);
                        let positions = chosen.flat_map(|key| key * x.ratio..(key + 1) * x.ratio);
                        positions.chain(whole * x.ratio..=pos).for_each(|p| seen[p / 64] |= 1 << (p % 64));
                        Some(seen)
                    }
                    _ => None,
                };
                self.s.latent.chosen.push(chosen);
                row += 1;
            }
        }
        Ok(())
    }

    /// The scores that the heads of row `r` give to the positions of `keys`, `[heads, positions]`.
    fn index_scores(&mut self, x: &config::Indexer, r: usize, keys: &[f32]) -> Result<Vec<f32>, EngineError> {
        let (crew, positions) = (self.crew, keys.len() / x.dim);
        let mut each = zeroed(x.heads.saturating_mul(positions), "the scores of an indexer")?;
        let q = &self.s.latent.index[0];
        let keys = Matrix::new(Format::F32, Layout::File, positions, x.dim, bytemuck::cast_slice(keys))
            .map_err(|source| EngineError::Matrix { name: "the keys of an indexer".into(), source })?;
        let queries = Input { floats: &q[r * x.heads * x.dim..][..x.heads * x.dim], blocks: &[] };
        self.lap.op(Op::Attention, || Cost::products(x.heads, &[keys]));
        matmul(crew, x.heads, &mut [Product { w: keys, x: queries, out: &mut each }]);
        Ok(each)
    }

    /// The positions with the best scores for row `r` among those of `keys`; of equal ones the first.
    pub(super) fn best(&mut self, x: &config::Indexer, r: usize, keys: &[f32]) -> Result<Vec<u64>, EngineError> {
        let (crew, positions) = (self.crew, keys.len() / x.dim);
        let each = self.index_scores(x, r, keys)?;
        let shares = &self.s.latent.index[2];
        let shares = &shares[r * x.heads..][..x.heads];
        let factor = 1.0 / ((x.dim * x.heads) as f32).sqrt();
        let mut scores: Vec<f32> = zeroed(positions, "the scores of an indexer")?;
        crew.rows(&mut scores, PART, true, |_, part, scores| {
            for (i, score) in scores.iter_mut().enumerate() {
                let heads = each[part * PART + i..].iter().step_by(positions).zip(shares);
                *score = heads.fold(0.0, |sum, (s, share)| sum + s.max(0.0) * (share * factor));
            }
        });
        let mut chosen = vec![0u64; positions.div_ceil(64)];
        check(&scores)?;
        best_of(&scores, x.most).iter().for_each(|p| chosen[*p as usize / 64] |= 1 << (p % 64));
        Ok(chosen)
    }

    /// Of each head's blocks of positions those with the best scores for row `r`, and the last ones; of equal ones the first.
    /// A bit for each position of `keys`, head by head.
    fn best_blocks(
        &mut self,
        x: &config::Indexer,
        b: &config::Blocks,
        r: usize,
        keys: &[f32],
    ) -> Result<Vec<u64>, EngineError> {
        let positions = keys.len() / x.dim;
        let (words, blocks) = (positions.div_ceil(64), positions.div_ceil(b.size));
        let each = self.index_scores(x, r, keys)?;
        check(&each)?;
        let mut chosen = vec![0u64; words.saturating_mul(x.heads)];
        let free = blocks.saturating_sub(b.last);
        for (scores, chosen) in each.chunks_exact(positions).zip(chosen.chunks_exact_mut(words)) {
            let top = |part: &[f32]| part.iter().fold(f32::NEG_INFINITY, |m, v| m.max(*v));
            let scores: Vec<f32> = scores.chunks(b.size).take(free).map(top).collect();
            let best = best_of(&scores, b.best - b.last);
            for block in best.into_iter().map(|i| i as usize).chain(free..blocks) {
                let end = positions.min((block + 1) * b.size);
                (block * b.size..end).for_each(|p| chosen[p / 64] |= 1 << (p % 64));
            }
        }
        Ok(chosen)
    }
}

fn check(scores: &[f32]) -> Result<(), EngineError> {
    match scores.iter().all(|score| score.is_finite()) {
        true => Ok(()),
        false => Err(EngineError::NonFinite { at: "among the scores of positions".into() }),
    }
}

/// Which `most` scores are the best; of equal ones the first.
fn best_of(scores: &[f32], most: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..scores.len() as u32).collect();
    let most = most.min(scores.len());
    if most > 0 {
        let better = |a: &u32, b: &u32| scores[*b as usize].total_cmp(&scores[*a as usize]).then(a.cmp(b));
        order.select_nth_unstable_by(most - 1, better);
    }
    order.truncate(most);
    order
}
