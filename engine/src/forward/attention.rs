//! Attention with grouped queries: projections, positions, the cache.

use super::{Forward, SPLIT, Segment, Source, bias, blocks_of, foresee, foresee_alone, norm, norm_cost, scale, turns};
use crate::arch::{HeadGates, HeadNorm, NormKind};
use crate::config::LayerSizes;
use crate::error::EngineError;
use crate::record::{Cost, Op};
use crate::weights::{Grouped, Linear, MatrixRef, Norm};
use hewn_kernels::kv::KvFull;
use hewn_kernels::op::activation::{Activation, activate, gate, multiply};
use hewn_kernels::op::attention::{Chosen, Far, Query, Rules, Window, attention};
use hewn_kernels::op::elementary::softplus;
use hewn_kernels::op::layer_norm::layer_norm;
use hewn_kernels::op::matmul::{Input, Product};
use hewn_kernels::op::norm::rms_norm;
use hewn_kernels::op::rope::rope;
use hewn_kernels::{CpuIsa, Crew};
use std::sync::{Mutex, PoisonError};

/// Says that layer `i` will soon store the positions of `segments`.
pub(super) fn foresee_store(i: usize, segments: &[Segment<'_>]) {
    segments.iter().filter(|seg| seg.tokens.len() == 1).for_each(|seg| seg.seq.layers[i].expect());
}

impl Forward<'_, '_> {
    /// `t = O(attention(rope(Q h), rope(K h), V h))`.
    pub(super) fn grouped_attention(
        &mut self,
        i: usize,
        g: &Grouped,
        segments: &mut [Segment<'_>],
    ) -> Result<(), EngineError> {
        let (c, n, crew, times) = (self.model.config(), self.n, self.crew, self.times());
        let matrices: Vec<&MatrixRef> = g.projections().map(|p| &p.w).collect();
        self.quantize_h(&matrices, || format!("before the attention of layer {i}"))?;
        let width = |p: &Option<Linear>| p.as_ref().map_or(0, |p| p.w.rows);
        let with_queries = c.arch.gated_heads == HeadGates::WithQueries;
        // Values are where keys are.
        let (qw, kw, vw) = (g.q.w.rows, width(&g.k), width(if g.v.is_some() { &g.v } else { &g.k }));
        {
            let s = &mut *self.s;
            let x = Input { floats: &s.h[..n * c.dim], blocks: blocks_of(&s.blocks, n, c.dim) };
            let (q, gates) = if with_queries { (&mut s.gate, None) } else { (&mut s.q, Some(&mut s.gate)) };
            let outs = [
                (Some(&g.q), &mut q[..n * qw]),
                (g.k.as_ref(), &mut s.k[..n * kw]),
                (g.v.as_ref(), &mut s.v[..n * vw]),
                (g.gate.as_ref(), gates.map_or(&mut [], |gates| &mut gates[..n * width(&g.gate)])),
            ];
            let gguf = self.model.gguf();
            self.lap.op(Op::QkvProduct, || times.cost(n, matrices.iter().copied()));
            foresee(crew, n, self.model, &[&g.o.w]);
            let biases =
                [Some(&g.q), g.k.as_ref(), g.v.as_ref()].into_iter().flatten().filter_map(|l| l.bias.as_deref());
            foresee_alone(crew, n, biases);
            let there = outs.into_iter().filter_map(|(linear, out)| Some((linear?, out)));
            let mut products: Vec<_> = there.map(|(l, out)| Product { w: l.w.view(gguf), x, out }).collect();
            times.all(n, matrices.iter().copied(), &mut products, &mut s.low);
            // Asked for before, they would have been pushed out again.
            if g.k.is_some() {
                foresee_store(i, segments);
            }
        }
        if with_queries {
            self.part_queries(&g.q);
        }
        let (table, sizes) = (c.rope_of(i), c.layer(i));
        let (qw, k_dim) = (sizes.q_width(), sizes.k_dim);
        let v_bias = g.v.as_ref().filter(|v| v.bias.is_some());
        let finished_v = v_bias.is_some() || g.v_norm.is_some() || c.qkv_bound.is_some() || c.value_scale != 1.0;
        let cut = |row: &mut [f32]| {
            if let Some(most) = c.qkv_bound {
                row.iter_mut().for_each(|v| *v = v.clamp(-most, most));
            }
        };
        // A turn takes three instructions, a norm two.
        self.lap.op(Op::Rope, || {
            let float = 3 * usize::from(table.is_some()) + 2 * usize::from(g.q_norm.is_some());
            Cost::elements(n, qw + kw + if finished_v { vw } else { 0 }, 2, float)
        });
        let s = &mut *self.s;
        let grows = c.temperature.is_some_and(|t| !t.unturned_only || table.is_none());
        let (cos, sin, factors) = (&s.cos, &s.sin, &s.query_factors);
        let norm_heads = |with: Option<&Norm>, row: &mut [f32]| match (with, c.arch.head_norm) {
            (None, _) => {}
            (Some(with), HeadNorm::Whole | HeadNorm::WholeLayer) => norm(crew.isa(), row, with, c.eps),
            (Some(with), HeadNorm::Own(_) | HeadNorm::Gains) => {
                let eps = c.arch.head_eps.unwrap_or(c.eps);
                for (h, (head, w)) in row.chunks_mut(k_dim).zip(with.w.chunks(k_dim)).enumerate() {
                    let bias = with.bias.as_ref().map(|b| &b[h * k_dim..][..k_dim]);
                    match with.kind {
                        NormKind::Rms => rms_norm(crew.isa(), head, w, eps),
                        NormKind::Layer => layer_norm(crew.isa(), head, w, bias, eps),
                    }
                }
            }
            (Some(with), _) => row.chunks_mut(k_dim).for_each(|head| norm(crew.isa(), head, with, c.eps)),
        };
        let finish = |linear: Option<&Linear>, with: Option<&Norm>, r: usize, row: &mut [f32]| {
            let [before, after] = if c.arch.norm_turned { [None, with] } else { [with, None] };
            linear.iter().for_each(|linear| bias(linear, row));
            cut(row);
            norm_heads(before, row);
            if let Some(table) = table {
                let at = turns(c, table, n, r);
                rope(crew.isa(), row, k_dim, c.arch.pairing, &cos[at.clone()], &sin[at]);
            }
            norm_heads(after, row);
        };
        crew.rows(&mut s.q[..n * qw], qw, n >= SPLIT, |_, r, row| {
            finish(Some(&g.q).filter(|_| !with_queries), g.q_norm.as_ref(), r, row);
            if let Some(factor) = factors.get(r).filter(|f| grows && **f != 1.0) {
                scale(row, *factor);
            }
        });
        if let Some(k) = &g.k {
            if g.v.is_none() {
                let k = &s.k;
                crew.rows(&mut s.v[..n * vw], vw, n >= SPLIT, |_, r, v| v.copy_from_slice(&k[r * kw..][..kw]));
            }
            crew.rows(&mut s.k[..n * kw], kw, n >= SPLIT, |_, r, row| finish(Some(k), g.k_norm.as_ref(), r, row));
        }
        if finished_v {
            crew.rows(&mut s.v[..n * vw], vw, n >= SPLIT, |_, _, row| {
                v_bias.into_iter().for_each(|v| bias(v, row));
                cut(row);
                if let Some(with) = &g.v_norm {
                    row.chunks_mut(sizes.v_dim).for_each(|head| norm(crew.isa(), head, with, c.eps));
                }
                if c.value_scale != 1.0 {
                    scale(row, c.value_scale);
                }
            });
        }
        self.index(i, g.indexer.as_ref(), segments)?;
        self.attend(i, g.sinks.as_deref(), segments)?;
        let source = match c.arch.gated_heads {
            HeadGates::None => Source::Attention,
            HeadGates::WithQueries => self.gate_heads(),
            HeadGates::Apart => self.gate_apart(g.gate.as_ref(), sizes.att_width()),
            HeadGates::OneEach => self.gate_each(g.gate.as_ref(), sizes, logistic),
            HeadGates::Softplus => match g.gate.as_ref() {
                Some(gate) if gate.w.rows == sizes.heads => self.gate_each(Some(gate), sizes, softplus),
                gate => self.gate_softplus(gate, sizes.att_width()),
            },
        };
        if let Some(with) = &g.before_o {
            self.lap.op(Op::Norm, || norm_cost(n, with.w.len(), Some(with)));
            let s = &mut *self.s;
            let rows = match source {
                Source::Gated => &mut s.up,
                _ => &mut s.att,
            };
            let width = with.w.len();
            crew.rows(&mut rows[..n * width], width, n >= SPLIT, |_, _, row| norm(crew.isa(), row, with, c.eps));
        }
        let then = self.after_attention(i);
        self.project(source, &g.o, &then, || format!("after the attention of layer {i}"))
    }

    /// `q` = the queries among queries and gates (`gate`, `[rows, heads, 2, k_dim]`), after the bias of both.
    fn part_queries(&mut self, linear: &Linear) {
        let (c, n, crew) = (self.model.config(), self.n, self.crew);
        let (qw, k_dim) = (c.q_width(), c.k_dim);
        self.lap.op(Op::Regroup, || Cost::elements(n, qw, 2, 0));
        let s = &mut *self.s;
        if linear.bias.is_some() {
            crew.rows(&mut s.gate[..n * 2 * qw], 2 * qw, n >= SPLIT, |_, _, row| bias(linear, row));
        }
        let both = &s.gate;
        crew.rows(&mut s.q[..n * qw], qw, n >= SPLIT, |_, r, row| {
            let heads = row.chunks_exact_mut(k_dim).zip(both[r * 2 * qw..].chunks_exact(2 * k_dim));
            heads.for_each(|(q, both)| q.copy_from_slice(&both[..k_dim]));
        });
    }

    /// `up` = the attention's output times the logistic function of the gates (`gate`, `[rows, heads, 2, k_dim]`).
    fn gate_heads(&mut self) -> Source {
        let (c, n, crew) = (self.model.config(), self.n, self.crew);
        let (width, dim) = (c.att_width(), c.v_dim);
        self.lap.op(Op::Activation, || Cost::elements(n, width, 4, 20));
        let s = &mut *self.s;
        let (both, att) = (&s.gate, &s.att);
        crew.rows(&mut s.up[..n * width], width, n >= SPLIT, |_, r, row| {
            let heads = row.chunks_exact_mut(dim).zip(both[r * 2 * width..].chunks_exact(2 * dim));
            heads.for_each(|(out, both)| out.copy_from_slice(&both[dim..]));
            gate(crew.isa(), Activation::Logistic, row, &att[r * width..][..width]);
        });
        Source::Gated
    }

    /// `up` = the attention's output times the logistic function of the gates (`gate`, `[rows, heads * v_dim]`), after their
    /// bias.
    fn gate_apart(&mut self, linear: Option<&Linear>, width: usize) -> Source {
        let (n, crew) = (self.n, self.crew);
        self.lap.op(Op::Activation, || Cost::elements(n, width, 3, 20));
        let s = &mut *self.s;
        let (gates, att) = (&s.gate, &s.att);
        crew.rows(&mut s.up[..n * width], width, n >= SPLIT, |_, r, row| {
            row.copy_from_slice(&gates[r * width..][..width]);
            linear.iter().for_each(|linear| bias(linear, row));
            gate(crew.isa(), Activation::Logistic, row, &att[r * width..][..width]);
        });
        Source::Gated
    }

    /// `up` = the attention's output times `ln(1 + e^gate)` (`gate`, `[rows, heads * v_dim]`), after the gates' bias.
    fn gate_softplus(&mut self, linear: Option<&Linear>, width: usize) -> Source {
        let (n, crew) = (self.n, self.crew);
        self.lap.op(Op::Activation, || Cost::elements(n, width, 3, 40));
        let s = &mut *self.s;
        let (gates, att) = (&s.gate, &s.att);
        crew.rows(&mut s.up[..n * width], width, n >= SPLIT, |_, r, row| {
            row.copy_from_slice(&gates[r * width..][..width]);
            linear.iter().for_each(|linear| bias(linear, row));
            softplus(crew.isa(), row);
            multiply(row, &att[r * width..][..width]);
        });
        Source::Gated
    }

    /// `up` = the attention's output, each head times what `of` makes of its gate (`gate`, `[rows, heads]`), after their bias.
    fn gate_each(&mut self, linear: Option<&Linear>, sizes: LayerSizes, of: fn(CpuIsa, &mut [f32])) -> Source {
        let (n, crew, width, heads) = (self.n, self.crew, sizes.att_width(), sizes.heads);
        self.lap.op(Op::Activation, || Cost::elements(n, width, 2, 1));
        let s = &mut *self.s;
        let (gates, att) = (&s.gate, &s.att);
        crew.rows(&mut s.up[..n * width], width, n >= SPLIT, |_, r, row| {
            let mut gates = gates[r * heads..][..heads].to_vec();
            linear.iter().for_each(|linear| bias(linear, &mut gates));
            of(crew.isa(), &mut gates);
            row.copy_from_slice(&att[r * width..][..width]);
            row.chunks_mut(sizes.v_dim).zip(gates).for_each(|(head, gate)| scale(head, gate));
        });
        Source::Gated
    }

    /// Appends `k` and `v` to the caches, unless the layer reads another's, and attends `q` to them: `att`.
    pub(super) fn attend(
        &mut self,
        i: usize,
        sinks: Option<&[f32]>,
        segments: &mut [Segment<'_>],
    ) -> Result<(), EngineError> {
        let (c, n, crew) = (self.model.config(), self.n, self.crew);
        let sizes = c.layer(i);
        let (qw, kw, vw, aw) = (sizes.q_width(), sizes.k_width(), sizes.v_width(), sizes.att_width());
        let (s, cache) = (&mut *self.s, c.cache_of(i));
        let kv_row = segments.first().map_or(0, |seg| seg.seq.layers[cache].shape().position_bytes());
        if cache == i {
            self.lap.op(Op::KvStore, || Cost { kv_bytes: (n * kv_row) as u64, ..Cost::elements(n, kw + vw, 1, 1) });
            store(crew, i, segments, &s.k[..n * kw], &s.v[..n * vw])?;
        }
        let each = c.indexer.as_ref().is_some_and(|x| x.blocks.is_some());
        let words = |row: usize| s.latent.chosen.get(row).and_then(Option::as_deref);
        let stride = |words: &[u64]| if each { words.len() / sizes.kv_heads } else { 0 };
        let chosen = |row: usize| words(row).map(|words| Chosen { words, stride: stride(words) });
        let queries: Vec<Query<'_>> = segments
            .iter()
            .flat_map(|seg| {
                let kv = &seg.seq.layers[cache];
                (kv.len() - seg.tokens.len()..kv.len()).map(move |pos| (&*seg.seq, kv, pos))
            })
            .enumerate()
            .map(|(row, (seq, kv, pos))| match (c.pooled_of(i), seq.pooled.get(i)) {
                (Some(ratio), Some(entries)) => {
                    let far = Far { kv: entries, len: (pos + 1) / ratio, chosen: words(row) };
                    Query { far: Some(far), ..Query::all(kv, pos) }
                }
                _ if !c.causal => Query::whole(kv, pos),
                _ => Query { chosen: chosen(row), ..Query::all(kv, pos) },
            })
            .collect();
        let rules = Rules {
            scale: c.scale_of(i),
            cap: c.score_cap,
            window: c.reach_of(i),
            sinks,
            slopes: c.slopes.as_deref(),
            factors: c.heat.map(|_| &s.score_factors[..n]),
        };
        self.lap.op(Op::Attention, || {
            // Each query sees its window; from the cache comes what any of a sequence's sees.
            let window = rules.window.map_or(usize::MAX, Window::most);
            let far = |q: &Query<'_>| q.far.map_or(0, |f| f.len);
            let near = |q: &Query<'_>| {
                let [from, to] = rules.window.map_or([0, q.end], |w| w.seen(q.pos, q.end));
                to - from
            };
            let seen: usize = queries.iter().map(|q| near(q) + far(q)).sum();
            let read = |seg: &Segment<'_>| {
                let len = seg.seq.layers[cache].len();
                len.min(window.saturating_add(seg.tokens.len() - 1))
            };
            let read: usize = segments.iter().map(read).sum();
            // A bound on scores is a hyperbolic tangent, some 20 instructions.
            let (pairs, bound) = (seen * sizes.heads, if rules.cap.is_some() { 20 } else { 0 });
            let rows = Cost::elements(n, qw + aw, 1, 0);
            let cost = Cost { kv_bytes: (read * kv_row) as u64, float: (pairs * bound) as u64, ..rows };
            queries.first().map_or(cost, |q| cost.attending(q.kv.shape(), pairs))
        });
        attention(crew, &queries, sizes.heads, &rules, &s.q[..n * qw], &mut s.att[..n * aw]);
        // Nobody will see them again: the next layer's go where they were.
        if !c.causal {
            segments.iter_mut().for_each(|seg| seg.seq.layers[cache].truncate(0));
        }
        Ok(())
    }
}

fn logistic(isa: CpuIsa, x: &mut [f32]) {
    activate(isa, Activation::Logistic, x);
}

/// Appends the rows of `k` and `v` to the caches of layer `i`: a long segment's tile by tile, and single positions of
/// several sequences side by side.
fn store(crew: &Crew<'_>, i: usize, segments: &mut [Segment<'_>], mut k: &[f32], mut v: &[f32]) -> Result<(), KvFull> {
    let mut single = Vec::new();
    for seg in segments {
        let (layer, n) = (&mut seg.seq.layers[i], seg.tokens.len());
        let shape = layer.shape();
        let (own_k, rest_k) = k.split_at(n * shape.heads * shape.k_dim);
        let (own_v, rest_v) = v.split_at(n * shape.heads * shape.v_dim);
        (k, v) = (rest_k, rest_v);
        match n {
            1 => single.push((layer, own_k, own_v)),
            _ => layer.append_with(crew, own_k, own_v)?,
        }
    }
    let full = Mutex::new(Ok(()));
    crew.rows(&mut single, 1, true, |_, _, part| {
        for (layer, k, v) in part {
            if let Err(e) = layer.append(crew.isa(), k, v) {
                *full.lock().unwrap_or_else(PoisonError::into_inner) = Err(e);
            }
        }
    });
    full.into_inner().unwrap_or_else(PoisonError::into_inner)
}
