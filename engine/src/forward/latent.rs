//! Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434): the cache holds one compressed vector a position, from
//! which every head's keys and values could be made. They are not: a head's query is taken to the latent's channels
//! instead, and its output from them, so that all heads attend to the same cached vectors.

use super::attention::foresee_store;
use super::route::sigmoid;
use super::{Forward, SPLIT, Segment, Source, blocks_of, foresee, norm, norm_cost, quantize_rows, scale, turns};
use crate::error::EngineError;
use crate::record::{Cost, Op};
use crate::weights::{Latent, LatentHeads};
use hewn_kernels::Crew;
use hewn_kernels::op::activation::{Activation, gate};
use hewn_kernels::op::matmul::{Input, Product, matmul};
use hewn_kernels::op::rope::rope;

impl Forward<'_, '_> {
    /// `t = O(concat over heads of V_b attention(K_b q_nope ++ rope(q_rope), latent ++ rope(k_rope), latent))`.
    pub(super) fn latent_attention(
        &mut self,
        i: usize,
        w: &Latent,
        segments: &mut [Segment<'_>],
    ) -> Result<(), EngineError> {
        let (k_b, v_b) = match &w.heads {
            LatentHeads::Absorbed { k_b, v_b } => (k_b, v_b),
            LatentHeads::Expanded(kv_b) => return self.expanded_attention(i, w, kv_b, segments),
        };
        self.latent_products(i, w, segments)?;
        let (c, n, crew, gguf) = (self.model.config(), self.n, self.crew, self.model.gguf());
        let Some(sizes) = c.latent_of(i) else { return Ok(()) };
        let at = || format!("before the attention of layer {i}");
        let (nope, rot, rank, all) = (sizes.nope, c.rope.dim, sizes.kv_rank, c.layer(i).heads);
        let (kw, q_width) = (rank + rot, all * (nope + rot));
        let s = &mut *self.s;
        self.lap
            .op(Op::Rope, || Cost { float: (n * (2 * rank + 3 * rot)) as u64, ..Cost::elements(n, kw + rank, 2, 0) });
        let (cos, sin, table) = (&s.cos, &s.sin, c.rope_of(i));
        let turn = |r: usize, part: &mut [f32]| {
            if let Some(table) = table {
                let at = turns(c, table, n, r);
                rope(crew.isa(), part, rot, c.arch.pairing, &cos[at.clone()], &sin[at]);
            }
        };
        crew.rows(&mut s.k[..n * kw], kw, n >= SPLIT, |_, r, row| {
            let (latent, key) = row.split_at_mut(rank);
            norm(crew.isa(), latent, &w.kv_norm, c.eps);
            if let Some(with) = &w.k_norm {
                norm(crew.isa(), key, with, c.eps);
            }
            turn(r, key);
        });
        let k = &s.k;
        crew.rows(&mut s.v[..n * rank], rank, n >= SPLIT, |_, r, v| v.copy_from_slice(&k[r * kw..][..rank]));

        // Each head's unturned channels to those of the latent.
        self.lap.op(Op::Regroup, || Cost::elements(n, all * nope, 2, 0));
        let q_b = &s.latent.q_b;
        let inputs = &mut s.latent.heads_in[..all * n * nope];
        crew.rows(inputs, nope, n >= SPLIT, |_, j, row| {
            let (head, r) = (j / n, j % n);
            row.copy_from_slice(&q_b[r * q_width + head * (nope + rot)..][..nope]);
        });
        heads(self, k_b.is_quant(), [all, nope, rank], |h| k_b.view(gguf, h), at)?;
        let s = &mut *self.s;
        self.lap.op(Op::Rope, || Cost { float: (n * all * rot * 3) as u64, ..Cost::elements(n, all * kw, 2, 0) });
        let (absorbed, q_b) = (&s.latent.heads_out, &s.latent.q_b);
        let (cos, sin, factors) = (&s.cos, &s.sin, &s.query_factors);
        crew.rows(&mut s.q[..n * all * kw], all * kw, n >= SPLIT, |_, r, row| {
            for (h, q) in row.chunks_exact_mut(kw).enumerate() {
                let (to_latent, turned) = q.split_at_mut(rank);
                to_latent.copy_from_slice(&absorbed[(h * n + r) * rank..][..rank]);
                turned.copy_from_slice(&q_b[r * q_width + h * (nope + rot) + nope..][..rot]);
                if let Some(table) = table {
                    let at = turns(c, table, n, r);
                    rope(crew.isa(), turned, rot, c.arch.pairing, &cos[at.clone()], &sin[at]);
                }
            }
            if let Some(factor) = factors.get(r).filter(|f| **f != 1.0) {
                scale(row, *factor);
            }
        });
        self.index(i, w.indexer.as_ref(), segments)?;
        self.attend(i, w.sinks.as_deref(), segments)?;

        // Each head's output from the latent's channels to its own.
        let s = &mut *self.s;
        self.lap.op(Op::Regroup, || Cost::elements(n, all * rank, 2, 0));
        let (att, width) = (&s.att, all * rank);
        crew.rows(&mut s.latent.heads_in[..all * n * rank], rank, n >= SPLIT, |_, j, row| {
            let (head, r) = (j / n, j % n);
            row.copy_from_slice(&att[r * width + head * rank..][..rank]);
        });
        let at = || format!("after the attention of layer {i}");
        heads(self, v_b.is_quant(), [all, rank, sizes.v_dim], |h| v_b.view(gguf, h), at)?;
        let s = &mut *self.s;
        self.lap.op(Op::Regroup, || Cost::elements(n, all * sizes.v_dim, 2, 0));
        let (from, v) = (&s.latent.heads_out, sizes.v_dim);
        crew.rows(&mut s.latent.out[..n * all * v], all * v, n >= SPLIT, |_, r, row| {
            let heads = row.chunks_exact_mut(v).enumerate();
            heads.for_each(|(h, out)| out.copy_from_slice(&from[(h * n + r) * v..][..v]));
        });
        if let Some(w) = &w.gate {
            let gates = &mut s.gate[..n * w.rows];
            self.lap.op(Op::Activation, || Cost::elements(n, all * v, 2, 1));
            gate_latent(crew, n, all, gates, &mut s.latent.out[..n * all * v]);
        }
        let then = self.after_attention(i);
        self.project(Source::Latent, &w.o, &then, at)
    }

    /// `latent.q_b` = the heads' queries, `gate` = what gates are made of; the latent and the turned part of the key, not yet
    /// normed and turned, go to `k`, or where keys are made of them to `latent.heads_in`.
    pub(super) fn latent_products(
        &mut self,
        i: usize,
        w: &Latent,
        segments: &[Segment<'_>],
    ) -> Result<(), EngineError> {
        let (c, n, crew, gguf) = (self.model.config(), self.n, self.crew, self.model.gguf());
        let (at, times) = (|| format!("before the attention of layer {i}"), self.times());
        let first = w.first();
        self.quantize_h(&first, at)?;
        let s = &mut *self.s;
        let x = Input { floats: &s.h[..n * c.dim], blocks: blocks_of(&s.blocks, n, c.dim) };
        self.lap.op(Op::QkvProduct, || times.cost(n, first.iter().copied()));
        foresee_store(i, segments);
        let keys = match w.heads {
            LatentHeads::Absorbed { .. } => &mut s.k,
            LatentHeads::Expanded(_) => &mut s.latent.heads_in,
        };
        let kv = Product { w: w.kv_a.view(gguf), x, out: &mut keys[..n * w.kv_a.rows] };
        let q_b = &mut s.latent.q_b[..n * w.q_b.rows];
        let gates = &mut s.gate;
        let gate = w.gate.as_ref().map(|w| Product { w: w.view(gguf), x, out: &mut gates[..n * w.rows] });
        let others = [kv].into_iter().chain(gate);
        let Some((a, with)) = &w.q_a else {
            let queries = Product { w: w.q_b.view(gguf), x, out: q_b };
            let mut products: Vec<_> = [queries].into_iter().chain(others).collect();
            times.all(n, first.iter().copied(), &mut products, &mut s.low);
            return Ok(());
        };
        let q_a = &mut s.latent.q_a[..n * a.rows];
        foresee(crew, n, self.model, &[&w.q_b]);
        let queries = Product { w: a.view(gguf), x, out: &mut *q_a };
        let mut products: Vec<_> = [queries].into_iter().chain(others).collect();
        times.all(n, first.iter().copied(), &mut products, &mut s.low);
        self.lap.op(Op::Norm, || norm_cost(n, a.rows, Some(with)));
        crew.rows(q_a, a.rows, n >= SPLIT, |_, _, row| norm(crew.isa(), row, with, c.eps));
        if w.q_b.is_quant() {
            self.lap.op(Op::Quantize, || Cost::quantize(n, a.rows));
        }
        quantize_rows(crew, w.q_b.is_quant(), q_a, a.rows, &mut s.blocks, at)?;
        self.lap.op(Op::QkvProduct, || times.cost(n, [&w.q_b]));
        let x = Input { floats: q_a, blocks: blocks_of(&s.blocks, n, a.rows) };
        times.one(n, &w.q_b, x, q_b, &mut s.low);
        Ok(())
    }
}

/// Multiplies the outputs of heads (`[n, heads * v_dim]`) with the logistic function of their gates: one for each head, or for
/// each channel.
pub(super) fn gate_latent(crew: &Crew<'_>, n: usize, heads: usize, gates: &mut [f32], out: &mut [f32]) {
    let (width, own) = (out.len() / n, gates.len() / n);
    let mut rows: Vec<_> = out.chunks_exact_mut(width).zip(gates.chunks_exact_mut(own)).collect();
    crew.rows(&mut rows, 1, n >= SPLIT, |_, _, rows| {
        for (out, gates) in rows {
            match own == heads {
                true => {
                    let heads = out.chunks_exact_mut(width / heads).zip(gates.iter());
                    heads.for_each(|(head, gate)| scale(head, sigmoid(*gate)));
                }
                false => {
                    gate(crew.isa(), Activation::Logistic, gates, out);
                    out.copy_from_slice(gates);
                }
            }
        }
    });
}

/// `heads_out` (`[heads, n, outs]`) = each head's matrix times its rows of `heads_in` (`[heads, n, ins]`).
pub(super) fn heads<'w>(
    f: &mut Forward<'_, '_>,
    quant: bool,
    [heads, ins, outs]: [usize; 3],
    matrix: impl Fn(usize) -> hewn_kernels::op::matmul::Matrix<'w>,
    at: impl Fn() -> String,
) -> Result<(), EngineError> {
    let n = f.n;
    f.lap_quantize(quant, heads * n, ins);
    let s = &mut *f.s;
    let from = &s.latent.heads_in[..heads * n * ins];
    if quant {
        super::rows::quantize_parts(f.crew, &vec![n; heads], from, ins, &mut s.blocks, at)?;
    }
    f.lap.op(Op::LatentProduct, || {
        let mut all = Cost::default();
        (0..heads).for_each(|h| all += Cost::products(n, &[matrix(h)]));
        all
    });
    let blocks = blocks_of(&s.blocks, heads * n, ins);
    let mut products: Vec<Product<'_>> = s.latent.heads_out[..heads * n * outs]
        .chunks_exact_mut(n * outs)
        .enumerate()
        .map(|(h, out)| {
            let blocks = if blocks.is_empty() { blocks } else { &blocks[h * n * ins / 32..][..n * ins / 32] };
            Product { w: matrix(h), x: Input { floats: &from[h * n * ins..][..n * ins], blocks }, out }
        })
        .collect();
    matmul(f.crew, n, &mut products);
    Ok(())
}
