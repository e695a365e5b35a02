//! The attention part of a layer: queries, keys and values, the cache, the way back to the stream.

use super::{Forward, SPLIT, Segment, Source, bias, blocks_of};
use crate::error::EngineError;
use crate::weights::{LayerWeights, Linear};
use hewn_kernels::op::attention::{Query, attention};
use hewn_kernels::op::matmul::{Input, Product, expect, matmul};
use hewn_kernels::op::rope::rope;

impl Forward<'_> {
    /// `x += O(attention(rope(Q h), rope(K h), V h))` with `h = norm(x)`.
    pub(super) fn attention_part(
        &mut self,
        i: usize,
        l: &LayerWeights,
        segments: &mut [Segment<'_>],
    ) -> Result<(), EngineError> {
        let (c, n, crew) = (self.model.config(), self.n, self.crew);
        self.norm(&l.attn_norm);
        self.quantize_h(&[&l.q.w, &l.k.w, &l.v.w], || format!("before the attention of layer {i}"))?;
        let (qw, kw, vw) = (l.q.w.rows, l.k.w.rows, l.v.w.rows);
        let s = &mut *self.s;
        {
            let x = Input { floats: &s.h[..n * c.dim], blocks: blocks_of(&s.blocks, n, c.dim) };
            let (q, k, v) = (&mut s.q[..n * qw], &mut s.k[..n * kw], &mut s.v[..n * vw]);
            let gguf = self.model.gguf();
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
        let half = c.rope_dim / 2;
        let (cos, sin) = (&s.cos, &s.sin);
        let turn = |linear: &Linear, r: usize, row: &mut [f32]| {
            bias(linear, row);
            rope(crew.isa(), row, c.k_dim, c.arch.pairing, &cos[r * half..][..half], &sin[r * half..][..half]);
        };
        crew.rows(&mut s.q[..n * qw], qw, n >= SPLIT, |_, r, row| turn(&l.q, r, row));
        crew.rows(&mut s.k[..n * kw], kw, n >= SPLIT, |_, r, row| turn(&l.k, r, row));
        crew.rows(&mut s.v[..n * vw], vw, n >= SPLIT, |_, _, row| bias(&l.v, row));

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
        let scale = 1.0 / (c.k_dim as f32).sqrt();
        attention(crew, &queries, c.heads, scale, &s.q[..n * qw], &mut s.att[..n * c.att_width()]);
        let gguf = self.model.gguf();
        let then = [l.gate.w.view(gguf), l.up.w.view(gguf)];
        self.project(Source::Attention, &l.o, &then, || format!("after the attention of layer {i}"))
    }
}
