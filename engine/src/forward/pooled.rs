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
use hewn_kernels::op::matmul::{Input, Product, matmul};
use hewn_kernels::op::rope::rope;

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
