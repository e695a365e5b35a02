//! The decoder, top to bottom: tokens in, logits of the rows asked for out.
//!
//! A step's rows may belong to several sequences. Every operation works on all rows at once; only the cache is a
//! sequence's own. Because each kernel's result for a row does not depend on the other rows, neither do the logits.

use crate::error::EngineError;
use crate::model::Model;
use crate::record::{Cost, Lap, Op};
use crate::scratch::Scratch;
use crate::sequence::Sequence;
use crate::weights::{LayerWeights, Linear, MatrixRef};
use hewn_kernels::Crew;
use hewn_kernels::op::activation::{add, silu_gate};
use hewn_kernels::op::attention::{Query, attention};
use hewn_kernels::op::matmul::{Input, Matrix, Product, expect, matmul};
use hewn_kernels::op::norm::rms_norm;
use hewn_kernels::op::quantize::{ActBlock, GROUP, quantize};
use hewn_kernels::op::rope::{angles, rope};
use std::sync::atomic::{AtomicBool, Ordering};

/// Consecutive tokens of one sequence within a step.
pub(crate) struct Segment<'a> {
    pub seq: &'a mut Sequence,
    pub tokens: &'a [u32],
}

/// One step in the making.
pub(crate) struct Forward<'a, 'r> {
    pub model: &'a Model,
    pub crew: &'a Crew<'a>,
    pub s: &'a mut Scratch,
    /// Rows of this step.
    pub n: usize,
    /// Tells a recorder which operation runs.
    pub lap: &'a mut Lap<'r>,
}

/// Rows from which elementwise work is worth a parallel region.
const SPLIT: usize = 4;

impl Forward<'_, '_> {
    /// Runs the rows of `segments` through all layers, appending to their caches, and writes the logits of the rows in
    /// `wanted` to `out` (`[wanted.len(), vocab]`).
    pub fn run(&mut self, segments: &mut [Segment<'_>], wanted: &[usize], out: &mut [f32]) -> Result<(), EngineError> {
        let model = self.model;
        self.embed(segments);
        self.turn_tables(segments);
        for (i, layer) in model.weights().layers.iter().enumerate() {
            self.lap.layer = Some(i);
            self.attention_part(i, layer, segments)?;
            self.feed_forward_part(i, layer)?;
        }
        self.lap.layer = None;
        self.logits(wanted, out)
    }

    fn embed(&mut self, segments: &[Segment<'_>]) {
        let embed = self.model.weights().embed.view(self.model.gguf());
        let tokens: Vec<u32> = segments.iter().flat_map(|s| s.tokens).copied().collect();
        let dim = embed.cols();
        self.lap.op(Op::Embedding, || Cost {
            weight_bytes: (embed.data().len() / embed.rows().max(1) * self.n) as u64,
            ..Cost::elements(self.n, dim, 1, 1)
        });
        self.crew.rows(&mut self.s.x[..self.n * dim], dim, self.n >= SPLIT, |_, i, x| {
            // Tokens were checked against the vocabulary.
            let row = embed.file_row(tokens[i] as usize).unwrap_or(&[]);
            embed.format().dequantize(row, x);
        });
    }

    fn turn_tables(&mut self, segments: &[Segment<'_>]) {
        let freqs = self.model.freqs();
        // Sines and cosines in f64: some 40 instructions each.
        self.lap.op(Op::RopeTables, || Cost::elements(self.n, freqs.len(), 2, 80));
        let positions = segments.iter().flat_map(|s| (s.seq.len()..s.seq.len() + s.tokens.len()).map(|p| p as u32));
        let tables = self.s.cos.chunks_exact_mut(freqs.len()).zip(self.s.sin.chunks_exact_mut(freqs.len()));
        positions.zip(tables).for_each(|(p, (cos, sin))| angles(p, freqs, cos, sin));
    }

    /// `x += O(attention(rope(Q h), rope(K h), V h))` with `h = norm(x)`.
    fn attention_part(&mut self, i: usize, l: &LayerWeights, segments: &mut [Segment<'_>]) -> Result<(), EngineError> {
        let (c, n, crew) = (self.model.config(), self.n, self.crew);
        self.lap.op(Op::Norm, || Cost::elements(n, c.dim, 2, 2));
        self.norm(&l.attn_norm);
        self.lap.op(Op::Quantize, || Cost::quantize(n, c.dim));
        self.quantize_h(&[&l.q.w, &l.k.w, &l.v.w], || format!("before the attention of layer {i}"))?;
        let (qw, kw, vw) = (l.q.w.rows, l.k.w.rows, l.v.w.rows);
        let s = &mut *self.s;
        {
            let x = Input { floats: &s.h[..n * c.dim], blocks: blocks_of(&s.blocks, n, c.dim) };
            let (q, k, v) = (&mut s.q[..n * qw], &mut s.k[..n * kw], &mut s.v[..n * vw]);
            let gguf = self.model.gguf();
            let views = || [&l.q, &l.k, &l.v].map(|p| p.w.view(gguf));
            self.lap.op(Op::QkvProduct, || Cost::products(n, &views()));
            expect(crew, n, &[l.o.w.view(gguf)]);
            matmul(
                crew,
                n,
                &mut [
                    Product { w: l.q.w.view(gguf), x, out: q },
                    Product { w: l.k.w.view(gguf), x, out: k },
                    Product { w: l.v.w.view(gguf), x, out: v },
                ],
            );
        }
        self.lap.op(Op::Rope, || Cost::elements(n, qw + kw + vw, 2, 3));
        let half = c.rope_dim / 2;
        let (cos, sin) = (&s.cos, &s.sin);
        let turn = |linear: &Linear, r: usize, row: &mut [f32]| {
            bias(linear, row);
            rope(crew.isa(), row, c.k_dim, c.arch.pairing, &cos[r * half..][..half], &sin[r * half..][..half]);
        };
        crew.rows(&mut s.q[..n * qw], qw, n >= SPLIT, |_, r, row| turn(&l.q, r, row));
        crew.rows(&mut s.k[..n * kw], kw, n >= SPLIT, |_, r, row| turn(&l.k, r, row));
        crew.rows(&mut s.v[..n * vw], vw, n >= SPLIT, |_, _, row| bias(&l.v, row));

        let kv_row = segments.first().map_or(0, |seg| seg.seq.layers[i].shape().position_bytes());
        self.lap.op(Op::KvStore, || Cost { kv_bytes: (n * kv_row) as u64, ..Cost::elements(n, kw + vw, 1, 1) });
        let mut row = 0;
        for seg in &mut *segments {
            let rows = row..row + seg.tokens.len();
            seg.seq.layers[i].append(&s.k[rows.start * kw..rows.end * kw], &s.v[rows.start * vw..rows.end * vw])?;
            row = rows.end;
        }
        let queries: Vec<Query<'_>> = segments
            .iter()
            .flat_map(|seg| {
                let kv = &seg.seq.layers[i];
                (kv.len() - seg.tokens.len()..kv.len()).map(move |pos| Query { kv, pos })
            })
            .collect();
        self.lap.op(Op::Attention, || {
            let seen: usize = queries.iter().map(|q| q.pos + 1).sum();
            let held: usize = segments.iter().map(|seg| seg.seq.layers[i].len()).sum();
            let float = (seen * c.heads * (c.k_dim + c.v_dim)) as u64;
            Cost { kv_bytes: (held * kv_row) as u64, float, ..Cost::elements(n, qw + c.att_width(), 1, 0) }
        });
        let scale = 1.0 / (c.k_dim as f32).sqrt();
        attention(crew, &queries, c.heads, scale, &s.q[..n * qw], &mut s.att[..n * c.att_width()]);
        let gguf = self.model.gguf();
        let then = [l.gate.w.view(gguf), l.up.w.view(gguf)];
        self.project(Source::Attention, &l.o, &then, || format!("after the attention of layer {i}"))
    }

    /// `x += Down(silu(Gate h) * Up h)` with `h = norm(x)`.
    fn feed_forward_part(&mut self, i: usize, l: &LayerWeights) -> Result<(), EngineError> {
        let (c, n, crew) = (self.model.config(), self.n, self.crew);
        self.lap.op(Op::Norm, || Cost::elements(n, c.dim, 2, 2));
        self.norm(&l.ffn_norm);
        self.lap.op(Op::Quantize, || Cost::quantize(n, c.dim));
        self.quantize_h(&[&l.gate.w, &l.up.w], || format!("before the feed-forward part of layer {i}"))?;
        let s = &mut *self.s;
        let x = Input { floats: &s.h[..n * c.dim], blocks: blocks_of(&s.blocks, n, c.dim) };
        let (gate, up) = (&mut s.gate[..n * c.ff], &mut s.up[..n * c.ff]);
        let gguf = self.model.gguf();
        self.lap.op(Op::GateUpProduct, || Cost::products(n, &[l.gate.w.view(gguf), l.up.w.view(gguf)]));
        expect(crew, n, &[l.down.w.view(gguf)]);
        matmul(
            crew,
            n,
            &mut [
                Product { w: l.gate.w.view(gguf), x, out: &mut *gate },
                Product { w: l.up.w.view(gguf), x, out: &mut *up },
            ],
        );
        // The exponential is a polynomial; with the division some 20 instructions.
        self.lap.op(Op::Activation, || Cost::elements(n, c.ff, 3, 20));
        crew.rows(gate, c.ff, n >= SPLIT, |_, r, gate| {
            bias(&l.gate, gate);
            silu_gate(crew.isa(), gate, &up[r * c.ff..][..c.ff]);
        });
        let (gguf, weights) = (self.model.gguf(), self.model.weights());
        let then = match weights.layers.get(i + 1) {
            Some(l) => vec![l.q.w.view(gguf), l.k.w.view(gguf), l.v.w.view(gguf)],
            None => vec![weights.output.view(gguf)],
        };
        self.project(Source::FeedForward, &l.down, &then, || format!("in the feed-forward part of layer {i}"))
    }

    fn logits(&mut self, wanted: &[usize], out: &mut [f32]) -> Result<(), EngineError> {
        let (c, w) = (self.model.config(), self.model.weights());
        if wanted.is_empty() {
            return Ok(());
        }
        // Rows only move towards the front, so nothing is overwritten before it is read.
        for (to, &from) in wanted.iter().enumerate() {
            self.s.x.copy_within(from * c.dim..(from + 1) * c.dim, to * c.dim);
        }
        self.n = wanted.len();
        self.lap.op(Op::Norm, || Cost::elements(self.n, c.dim, 2, 2));
        self.norm(&w.out_norm);
        self.lap.op(Op::Quantize, || Cost::quantize(self.n, c.dim));
        self.quantize_h(&[&w.output], || "before the output projection".into())?;
        let x = Input { floats: &self.s.h[..self.n * c.dim], blocks: blocks_of(&self.s.blocks, self.n, c.dim) };
        self.lap.op(Op::Logits, || Cost::products(self.n, &[w.output.view(self.model.gguf())]));
        matmul(self.crew, self.n, &mut [Product { w: w.output.view(self.model.gguf()), x, out: &mut *out }]);
        match out.iter().all(|v| v.is_finite()) {
            true => Ok(()),
            false => Err(EngineError::NonFinite { at: "among the logits".into() }),
        }
    }

    /// `h = rms_norm(x) * w`, row by row.
    fn norm(&mut self, w: &[f32]) {
        let (c, n) = (self.model.config(), self.n);
        let (x, isa) = (&self.s.x, self.crew.isa());
        self.crew.rows(&mut self.s.h[..n * c.dim], c.dim, n >= SPLIT, |_, r, h| {
            rms_norm(isa, &x[r * c.dim..][..c.dim], w, c.eps, h);
        });
    }

    fn quantize_h(&mut self, readers: &[&MatrixRef], at: impl Fn() -> String) -> Result<(), EngineError> {
        let (dim, n) = (self.model.config().dim, self.n);
        quantize_rows(self.crew, &self.s.h[..n * dim], dim, readers, &mut self.s.blocks, at)
    }

    /// `x += linear(source)`; the product after it is with the weights `then`.
    fn project(
        &mut self,
        source: Source,
        linear: &Linear,
        then: &[Matrix<'_>],
        at: impl Fn() -> String,
    ) -> Result<(), EngineError> {
        let (c, n, crew) = (self.model.config(), self.n, self.crew);
        let s = &mut *self.s;
        let (from, width) = match source {
            Source::Attention => (&s.att, c.att_width()),
            Source::FeedForward => (&s.gate, c.ff),
        };
        let floats = &from[..n * width];
        self.lap.op(Op::Quantize, || Cost::quantize(n, width));
        quantize_rows(crew, floats, width, &[&linear.w], &mut s.blocks, at)?;
        let x = Input { floats, blocks: blocks_of(&s.blocks, n, width) };
        let t = &mut s.t[..n * c.dim];
        self.lap.op(source.op(), || Cost::products(n, &[linear.w.view(self.model.gguf())]));
        expect(crew, n, then);
        matmul(crew, n, &mut [Product { w: linear.w.view(self.model.gguf()), x, out: &mut *t }]);
        self.lap.op(Op::ResidualAdd, || Cost::elements(n, c.dim, 3, 1));
        crew.rows(&mut s.x[..n * c.dim], c.dim, n >= SPLIT, |_, r, x| {
            add(x, &t[r * c.dim..][..c.dim]);
            bias(linear, x);
        });
        Ok(())
    }
}

/// Which buffer a projection back to the stream reads.
enum Source {
    Attention,
    FeedForward,
}

impl Source {
    /// The product that it goes into.
    fn op(&self) -> Op {
        match self {
            Self::Attention => Op::AttentionOutput,
            Self::FeedForward => Op::DownProduct,
        }
    }
}

fn bias(linear: &Linear, row: &mut [f32]) {
    if let Some(b) = &linear.bias {
        add(row, b);
    }
}

/// The blocks of `n` rows; none where rows are not whole blocks, in which case no block format reads them.
fn blocks_of(blocks: &[ActBlock], n: usize, width: usize) -> &[ActBlock] {
    if width.is_multiple_of(32) { &blocks[..n * width / 32] } else { &[] }
}

/// Quantizes rows of `width` when one of the readers is in a block format.
fn quantize_rows(
    crew: &Crew<'_>,
    x: &[f32],
    width: usize,
    readers: &[&MatrixRef],
    blocks: &mut [ActBlock],
    at: impl Fn() -> String,
) -> Result<(), EngineError> {
    if !readers.iter().any(|w| w.is_quant()) {
        return Ok(());
    }
    let n = x.len() / width;
    let bad = AtomicBool::new(false);
    crew.rows(&mut blocks[..n * width / 32], GROUP * width / 32, n >= SPLIT, |_, g, blocks| {
        let rows = GROUP.min(n - g * GROUP);
        if quantize(crew.isa(), rows, &x[g * GROUP * width..][..rows * width], blocks).is_err() {
            bad.store(true, Ordering::Relaxed);
        }
    });
    if bad.into_inner() { Err(EngineError::NonFinite { at: at() }) } else { Ok(()) }
}
