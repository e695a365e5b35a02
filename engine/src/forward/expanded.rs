//! Latent attention whose heads have keys and values of their own, made of the latent before they go to the cache: models, and
//! old files, without the matrices that take heads to the latent.

use super::latent::gate_latent;
use super::{Forward, SPLIT, Segment, Source, blocks_of, foresee, norm, norm_cost, quantize_rows, scale};
use crate::error::EngineError;
use crate::record::{Cost, Op};
use crate::weights::{Latent, MatrixRef};
use hewn_kernels::op::matmul::Input;
use hewn_kernels::op::rope::rope;

impl Forward<'_, '_> {
    /// `t = O(attention(q_nope ++ rope(q_rope), K_b latent ++ rope(k_rope), V_b latent))`, where all heads share `k_rope`.
    pub(super) fn expanded_attention(
        &mut self,
        i: usize,
        w: &Latent,
        kv_b: &MatrixRef,
        segments: &mut [Segment<'_>],
    ) -> Result<(), EngineError> {
        self.latent_products(i, w, segments)?;
        let (c, n, crew, times) = (self.model.config(), self.n, self.crew, self.times());
        let Some(sizes) = &c.latent else { return Ok(()) };
        let (nope, rot, rank, v_dim) = (sizes.nope, c.rope.dim, sizes.kv_rank, sizes.v_dim);
        let (k_dim, both, own) = (nope + rot, rank + rot, nope + v_dim);
        let s = &mut *self.s;
        let (pairs, latents) = (&s.latent.heads_in[..n * both], &mut s.latent.heads_out[..n * rank]);
        self.lap.op(Op::Norm, || norm_cost(n, rank, Some(&w.kv_norm)));
        crew.rows(latents, rank, n >= SPLIT, |_, r, row| {
            row.copy_from_slice(&pairs[r * both..][..rank]);
            norm(crew.isa(), row, &w.kv_norm, c.eps);
        });
        if kv_b.is_quant() {
            self.lap.op(Op::Quantize, || Cost::quantize(n, rank));
        }
        let at = || format!("in the attention of layer {i}");
        quantize_rows(crew, kv_b.is_quant(), latents, rank, &mut s.blocks, at)?;
        let x = Input { floats: latents, blocks: blocks_of(&s.blocks, n, rank) };
        self.lap.op(Op::LatentProduct, || times.cost(n, [kv_b]));
        foresee(crew, n, self.model, &[&w.o.w]);
        let made = &mut s.latent.out[..n * kv_b.rows];
        times.one(n, kv_b, x, made, &mut s.low);

        let (kw, vw, half) = (c.heads * k_dim, c.heads * v_dim, rot / 2);
        self.lap.op(Op::Rope, || Cost { float: (n * kw * 3) as u64, ..Cost::elements(n, 2 * kw + vw, 2, 0) });
        let (cos, sin, turned) = (&s.cos, &s.sin, c.rope_of(i).is_some());
        let turn = |r: usize, part: &mut [f32]| {
            if turned {
                rope(crew.isa(), part, rot, c.arch.pairing, &cos[r * half..][..half], &sin[r * half..][..half]);
            }
        };
        let (queries, made, factors) = (&s.latent.q_b, &*made, &s.query_factors);
        crew.rows(&mut s.q[..n * kw], kw, n >= SPLIT, |_, r, row| {
            row.copy_from_slice(&queries[r * kw..][..kw]);
            row.chunks_exact_mut(k_dim).for_each(|head| turn(r, &mut head[nope..]));
            if let Some(factor) = factors.get(r).filter(|f| **f != 1.0) {
                scale(row, *factor);
            }
        });
        crew.rows(&mut s.k[..n * kw], kw, n >= SPLIT, |_, r, row| {
            let mut shared = pairs[r * both + rank..][..rot].to_vec();
            turn(r, &mut shared);
            for (head, own) in row.chunks_exact_mut(k_dim).zip(made[r * kv_b.rows..].chunks_exact(own)) {
                head[..nope].copy_from_slice(&own[..nope]);
                head[nope..].copy_from_slice(&shared);
            }
        });
        crew.rows(&mut s.v[..n * vw], vw, n >= SPLIT, |_, r, row| {
            let heads = row.chunks_exact_mut(v_dim).zip(made[r * kv_b.rows..].chunks_exact(own));
            heads.for_each(|(head, own)| head.copy_from_slice(&own[nope..]));
        });
        self.attend(i, w.sinks.as_deref(), segments)?;
        if let Some(w) = &w.gate {
            self.lap.op(Op::Activation, || Cost::elements(n, vw, 2, 1));
            let s = &mut *self.s;
            gate_latent(crew, n, c.heads, &mut s.gate[..n * w.rows], &mut s.att[..n * vw]);
        }
        let then = self.after_attention(i);
        self.project(Source::Attention, &w.o, &then, || format!("after the attention of layer {i}"))
    }
}
