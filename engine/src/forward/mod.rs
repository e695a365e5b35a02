//! The decoder, top to bottom: tokens in, logits of the rows asked for out.
//!
//! A step's rows may belong to several sequences. Every operation works on all rows at once; only the cache is a
//! sequence's own. Because each kernel's result for a row does not depend on the other rows, neither do the logits.

mod adapters;
mod altup;
mod attention;
mod channel_delta;
mod cycles;
mod delta;
mod embedding;
mod entries;
mod expanded;
mod experts;
mod feed_forward;
mod hyper;
mod indexer;
mod kept;
mod latent;
mod layer_input;
mod lightning;
mod mix;
mod narrow;
mod next;
mod pooled;
mod route;
mod rows;
mod running;
mod selective;
mod short_convolution;
mod state_space;
mod streams;
mod told_scan;
mod vectors;
mod wkv;

use crate::arch::NormKind;
use crate::config::ModelConfig;
use crate::error::EngineError;
use crate::model::Model;
use crate::record::{Cost, Lap, Op};
use crate::scratch::Scratch;
use crate::sequence::Sequence;
use crate::weights::{AttentionWeights, FeedForward, Linear, MatrixRef, Norm};
pub(crate) use adapters::{ROOM as LOW_ROOM, Switched, switched};
use hewn_kernels::op::activation::{add, add_scaled, scale};
use hewn_kernels::op::layer_norm::layer_norm;
use hewn_kernels::op::matmul::Input;
use hewn_kernels::op::norm::rms_norm;
use hewn_kernels::op::rope::angles;
use hewn_kernels::op::soft_cap::soft_cap;
use hewn_kernels::{CpuIsa, Crew};
use next::{Next, foresee, foresee_alone};
use rows::{blocks_of, quantize_rows};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
pub(crate) use vectors::{classify, through};
pub(crate) use wkv::ARRAYS as WKV_ARRAYS;

/// Consecutive tokens of one sequence within a step.
pub(crate) struct Segment<'a> {
    pub seq: &'a mut Sequence,
    pub tokens: &'a [u32],
}

/// What a step gives for the rows asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gives {
    /// `[rows, vocab]`
    Logits,
    /// The stream behind its last norm, `[rows, dim]`.
    Rows,
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
    /// The rows' tokens.
    pub tokens: Vec<u32>,
    /// Rows with adapters.
    pub switched: &'a Switched,
    pub gives: Gives,
}

/// Rows from which elementwise work is worth a parallel region.
const SPLIT: usize = 4;

/// Logits that a thread looks at at a time.
const LOOK: usize = 16 << 10;

impl<'m> Forward<'m, '_> {
    /// Runs the rows of `segments` through all layers, appending to their caches, and writes what is asked for of the rows in
    /// `wanted` to `out`.
    pub fn run(&mut self, segments: &mut [Segment<'_>], wanted: &[usize], out: &mut [f32]) -> Result<(), EngineError> {
        let model = self.model;
        self.tokens = segments.iter().flat_map(|s| s.tokens).copied().collect();
        self.embed();
        if let Some(w) = &model.weights().kinds {
            let kind = |seg: &Segment<'_>, pos| usize::from(pos >= seg.seq.second_from).min(w.rows - 1);
            self.add_rows_of(w, segments, kind);
        }
        if let Some(w) = &model.weights().positions {
            // No sequence is longer than the table, which has a row for each position of the context.
            self.add_rows_of(w, segments, |_, pos| pos);
        }
        if let Some(w) = &model.weights().embed_norm {
            self.norm_stream(w);
        }
        if let Some(w) = &model.weights().layer_inputs {
            self.layer_inputs(w, segments)?;
        }
        self.turn_tables(segments);
        if model.config().arch.embed_again {
            self.keep_embedding();
        }
        if let Some(w) = &model.weights().altup {
            self.part_streams(w)?;
        }
        if let Some(streams) = &model.config().streams {
            self.begin_streams(streams.count);
        }
        if model.weights().hyper.is_some() {
            self.fill_streams();
        }
        if let Some(low) = &model.weights().low {
            self.begin_cycles(low);
        }
        for (i, layer) in model.weights().layers.iter().enumerate() {
            self.lap.layer = Some(i);
            if let Some((cycles, with)) = model.config().cycles.as_ref().zip(model.weights().out_norm.as_ref()) {
                self.cycle(i, cycles, with);
            }
            if let Some(w) = &layer.altup {
                self.predict_streams(w);
            }
            let parallel = layer.parallel;
            if layer.again.is_some() {
                self.keep_embedding();
            }
            if let Some(FeedForward::Experts(w)) =
                layer.feed_forward.as_ref().filter(|_| model.config().arch.early_choice)
            {
                self.choose_early(i, w)?;
            }
            if let Some(w) = &layer.ahead {
                self.normed(Some(&w.norm));
                self.experts(i, &w.experts)?;
                std::mem::swap(&mut self.s.t, &mut self.s.experts.dense);
            }
            let apart = layer.shares_of.as_deref().zip(model.weights().streams.as_ref());
            if let Some(w) = &layer.hyper {
                self.read_mixture(&w.attention, || format!("among the streams before layer {i}"))?;
            }
            if layer.space.is_some() || layer.attention.is_some() {
                if let Some(([shares, _], head)) = apart {
                    self.read_streams(shares, head)?;
                }
                match &layer.kept {
                    Some(kept) => {
                        let before = model.config().kept_before(i);
                        self.normed_mixture(&kept[0], before, layer.before_attention.as_ref());
                        if model.config().kept_before(i + 1) > before {
                            self.keep_stream(before);
                        }
                    }
                    None => self.normed(layer.before_attention.as_ref()),
                }
                self.stay_normed();
            }
            if let Some(w) = &layer.altup {
                self.laurel(i, &w.laurel, layer.attention.as_ref())?;
            }
            // Beside attention, which reads the same input.
            if let Some(w) = &layer.space {
                self.state_space(i, w, segments)?;
                self.join_stream(None, 1.0);
            }
            let [embedding, attention, feed_forward] = layer.shares.unwrap_or([0.0, 1.0, 1.0]);
            if let Some(w) = &layer.attention {
                match w {
                    AttentionWeights::Grouped(g) => self.grouped_attention(i, g, segments)?,
                    AttentionWeights::Latent(l) => self.latent_attention(i, l, segments)?,
                    AttentionWeights::Pooled(p) => self.pooled_attention(i, p, segments)?,
                    AttentionWeights::Delta(d) => self.delta_net(i, d, segments)?,
                    AttentionWeights::ChannelDelta(w) => self.channel_delta(i, w, segments)?,
                    AttentionWeights::Selective(w) => self.selective_space(i, w, segments)?,
                    AttentionWeights::ToldScan(w) => self.told_scan(i, w, segments)?,
                    AttentionWeights::ShortConvolution(w) => self.short_convolution(i, w, segments)?,
                    AttentionWeights::Wkv(w) => self.time_mix(i, w, segments)?,
                    AttentionWeights::Lightning(w) => self.lightning(i, w, segments)?,
                    AttentionWeights::Linear(w) => {
                        let then = self.after_attention(i);
                        self.project(Source::Normed, w, &then, || format!("before the matrix of layer {i}"))?;
                    }
                }
                // Side by side, the feed-forward part reads the attention's input, or that input with a norm of its own.
                if parallel && layer.before_ff.is_some() {
                    self.normed(layer.before_ff.as_ref());
                }
                self.join_stream(layer.after_attention.as_ref(), attention);
                if let Some(with) = &layer.behind[0] {
                    self.norm_stream(with);
                }
                if let Some(with) = &layer.again {
                    self.join_embedding(1.0);
                    self.norm_stream(with);
                }
            }
            if layer.altup.is_some() {
                self.join_laurel();
            }
            if let Some(w) = &layer.hyper {
                self.read_mixture(&w.feed_forward, || format!("among the streams of layer {i}"))?;
            }
            if let Some(w) = &layer.feed_forward {
                if let Some(([_, shares], head)) = apart {
                    self.read_streams(shares, head)?;
                }
                match &layer.kept {
                    Some(kept) => {
                        let count = model.config().kept_before(i + 1);
                        self.normed_mixture(&kept[1], count, layer.before_ff.as_ref());
                    }
                    None if !parallel => {
                        self.normed(layer.before_ff.as_ref());
                        self.stay_normed();
                    }
                    None => {}
                }
                match w {
                    FeedForward::Dense(w) => self.dense(i, w)?,
                    FeedForward::Experts(w) => self.experts(i, w)?,
                    FeedForward::Beside(w) => self.beside(i, w)?,
                    FeedForward::Mixed(w) => self.channel_mix(i, w, segments)?,
                }
                self.join_stream(layer.after_ff.as_ref(), feed_forward);
                if let Some(with) = &layer.behind[1] {
                    self.norm_stream(with);
                }
            }
            if layer.ahead.is_some() {
                std::mem::swap(&mut self.s.t, &mut self.s.experts.dense);
                self.join_stream(None, 1.0);
            }
            if let Some(w) = &layer.altup {
                self.correct_streams(w);
            }
            if let Some(w) = &layer.input {
                self.layer_input(i, w)?;
            }
            if let Some(factor) = layer.factor {
                self.multiply_stream(factor);
            }
            if layer.shares.is_some() {
                self.join_embedding(embedding);
            }
            let round = model.config().layers / model.config().rounds;
            let round_ends = (i + 1).is_multiple_of(round) && i + 1 < model.config().layers;
            if let Some(with) = model.weights().out_norm.as_ref().filter(|_| round_ends && model.config().round_norm) {
                self.norm_stream(with);
            }
        }
        self.lap.layer = None;
        self.logits(wanted, out)
    }

    /// The sines and cosines of each table for each row.
    fn turn_tables(&mut self, segments: &[Segment<'_>]) {
        let (n, mut row) = (self.n, 0);
        // Sines and cosines in f64: some 40 instructions each.
        self.lap.op(Op::RopeTables, || Cost::elements(n, self.model.config().rope_pairs().sum(), 2, 80));
        for seg in segments {
            for pos in seg.seq.len()..seg.seq.len() + seg.tokens.len() {
                for (t, table) in self.model.ropes(seg.seq.ctx()).iter().enumerate() {
                    let at = turns(self.model.config(), t, n, row);
                    let (cos, sin) = (&mut self.s.cos[at.clone()], &mut self.s.sin[at]);
                    angles(pos as u32, &table.freqs, table.magnitude, cos, sin);
                }
                if let Some(factor) = self.s.query_factors.get_mut(row) {
                    *factor = self.model.config().query_factor(pos);
                }
                if let Some(factor) = self.s.score_factors.get_mut(row) {
                    *factor = self.model.config().score_factor(pos);
                }
                row += 1;
            }
        }
    }

    fn logits(&mut self, wanted: &[usize], out: &mut [f32]) -> Result<(), EngineError> {
        let (c, w) = (self.model.config(), self.model.weights());
        if wanted.is_empty() {
            return Ok(());
        }
        if let Some(head) = &w.streams {
            self.read_streams(&head.shares, head)?;
        }
        if let Some(kept) = &w.kept {
            self.join_kept(kept);
        }
        match &w.altup {
            Some(altup) => self.join_streams(altup, wanted)?,
            None if w.hyper.is_some() => self.leave_streams(wanted)?,
            None => self.keep(wanted),
        }
        self.normed(w.out_norm.as_ref());
        let output = match (self.gives, &w.output) {
            (Gives::Logits, Some(output)) => output,
            _ => {
                out.copy_from_slice(&self.s.h[..self.n * c.dim]);
                return self.check_finite(out, "among the rows");
            }
        };
        self.quantize_h(&[output], || "before the output projection".into())?;
        let x = Input { floats: &self.s.h[..self.n * c.dim], blocks: blocks_of(&self.s.blocks, self.n, c.dim) };
        let times = self.times();
        self.lap.op(Op::Logits, || times.cost(self.n, [output]));
        times.one(self.n, output, x, out, &mut self.s.low);
        let isa = self.crew.isa();
        if let Some(b) = &w.output_bias {
            self.lap.op(Op::LogitBounds, || Cost::elements(self.n, c.vocab, 2, 1));
            self.crew.rows(out, c.vocab, self.n >= SPLIT, |_, _, row| add(row, b));
        }
        if c.logit_scale != 1.0 || c.logit_cap.is_some() {
            // A hyperbolic tangent takes some 20 instructions.
            let float = usize::from(c.logit_scale != 1.0) + if c.logit_cap.is_some() { 20 } else { 0 };
            self.lap.op(Op::LogitBounds, || Cost::elements(self.n, c.vocab, 2, float));
            self.crew.rows(out, c.vocab, self.n >= SPLIT, |_, _, row| {
                if c.logit_scale != 1.0 {
                    scale(row, c.logit_scale);
                }
                if let Some(cap) = c.logit_cap {
                    soft_cap(isa, row, cap);
                }
            });
        }
        if let Some(tokens) = c.arch.unspoken.as_ref().filter(|t| t.end <= c.vocab) {
            let rows = out.chunks_exact_mut(c.vocab);
            rows.for_each(|row| row[tokens.clone()].fill(f32::MIN));
        }
        self.check_finite(out, "among the logits")
    }

    fn check_finite(&self, out: &mut [f32], at: &str) -> Result<(), EngineError> {
        let bad = AtomicBool::new(false);
        self.crew.rows(out, LOOK, true, |_, _, part| {
            // Without a way out of the loop, so that the compiler looks at several at once.
            if part.iter().fold(false, |any, v| any | !v.is_finite()) {
                bad.store(true, Ordering::Relaxed);
            }
        });
        if bad.into_inner() { Err(EngineError::NonFinite { at: at.into() }) } else { Ok(()) }
    }

    /// Keeps the rows in `wanted` only.
    fn keep(&mut self, wanted: &[usize]) {
        let dim = self.model.config().dim;
        // Rows only move towards the front, so nothing is overwritten before it is read.
        for (to, &from) in wanted.iter().enumerate() {
            self.s.x.copy_within(from * dim..(from + 1) * dim, to * dim);
        }
        self.n = wanted.len();
    }

    /// `h = norm(x)`, row by row; `h = x` without one.
    fn normed(&mut self, with: Option<&Norm>) {
        let (c, n) = (self.model.config(), self.n);
        let (x, isa) = (&self.s.x, self.crew.isa());
        self.lap.op(Op::Norm, || norm_cost(n, c.dim, with));
        self.crew.rows(&mut self.s.h[..n * c.dim], c.dim, n >= SPLIT, |_, r, h| {
            h.copy_from_slice(&x[r * c.dim..][..c.dim]);
            if let Some(with) = with {
                norm(isa, h, with, c.eps);
            }
        });
    }

    /// `x = norm(x)`, row by row.
    fn norm_stream(&mut self, with: &Norm) {
        let (c, n, crew) = (self.model.config(), self.n, self.crew);
        self.lap.op(Op::Norm, || norm_cost(n, c.dim, Some(with)));
        crew.rows(&mut self.s.x[..n * c.dim], c.dim, n >= SPLIT, |_, _, x| norm(crew.isa(), x, with, c.eps));
    }

    /// `x = h` times a factor, where parts are added to what they read.
    fn stay_normed(&mut self) {
        let (c, n) = (self.model.config(), self.n);
        if !c.arch.norms_stay {
            return;
        }
        self.lap.op(Op::ResidualAdd, || Cost::elements(n, c.dim, 2, 1));
        let h = &self.s.h;
        self.crew.rows(&mut self.s.x[..n * c.dim], c.dim, n >= SPLIT, |_, r, x| {
            x.copy_from_slice(&h[r * c.dim..][..c.dim]);
            scale(x, c.stream_scale);
        });
    }

    /// `x += share * norm(t)`, row by row; `x += share * t` without one. Where streams are several, it joins all of them.
    fn join_stream(&mut self, with: Option<&Norm>, share: f32) {
        if let Some(with) = with {
            self.norm_part(with);
        }
        if let Some(streams) = &self.model.config().streams {
            return self.write_streams(streams.count);
        }
        if self.model.config().hyper.is_some() {
            return self.write_mixture();
        }
        let (c, n, crew) = (self.model.config(), self.n, self.crew);
        let t = &self.s.t[..n * c.dim];
        self.lap.op(Op::ResidualAdd, || Cost::elements(n, c.dim, 3, 1));
        crew.rows(&mut self.s.x[..n * c.dim], c.dim, n >= SPLIT, |_, r, x| {
            let t = &t[r * c.dim..][..c.dim];
            match c.residual_scale * share {
                1.0 => add(x, t),
                factor => add_scaled(x, t, factor),
            }
        });
    }

    /// `t = norm(t)`, row by row.
    fn norm_part(&mut self, with: &Norm) {
        let (c, n, crew) = (self.model.config(), self.n, self.crew);
        self.lap.op(Op::Norm, || norm_cost(n, c.dim, Some(with)));
        let eps = c.arch.after_eps.unwrap_or(c.eps);
        crew.rows(&mut self.s.t[..n * c.dim], c.dim, n >= SPLIT, |_, _, t| norm(crew.isa(), t, with, eps));
    }

    /// `x *= factor`
    fn multiply_stream(&mut self, factor: f32) {
        let (dim, n) = (self.model.config().dim, self.n);
        self.lap.op(Op::ResidualAdd, || Cost::elements(n, dim, 2, 1));
        self.crew.rows(&mut self.s.x[..n * dim], dim, n >= SPLIT, |_, _, x| scale(x, factor));
    }

    fn quantize_h(&mut self, readers: &[&MatrixRef], at: impl Fn() -> String) -> Result<(), EngineError> {
        let needed = readers.iter().any(|w| w.is_quant());
        self.quantize_h_if(needed, at)
    }

    fn quantize_h_if(&mut self, needed: bool, at: impl Fn() -> String) -> Result<(), EngineError> {
        let (dim, n) = (self.model.config().dim, self.n);
        self.lap_quantize(needed, n, dim);
        quantize_rows(self.crew, needed, &self.s.h[..n * dim], dim, &mut self.s.blocks, at)
    }

    /// What runs now is a quantization of `rows` of `width`, if it is needed.
    fn lap_quantize(&mut self, needed: bool, rows: usize, width: usize) {
        if needed {
            self.lap.op(Op::Quantize, || Cost::quantize(rows, width));
        }
    }

    /// `t = linear(source)`
    fn project(
        &mut self,
        source: Source,
        linear: &Linear,
        then: &Next<'_>,
        at: impl Fn() -> String,
    ) -> Result<(), EngineError> {
        let (c, n, crew, times) = (self.model.config(), self.n, self.crew, self.times());
        let width = linear.w.cols;
        let quant = linear.w.is_quant() && !matches!(source, Source::Fused);
        self.lap_quantize(quant, n, width);
        let s = &mut *self.s;
        let floats = match source {
            Source::Attention => &s.att[..n * width],
            Source::Normed => &s.h[..n * width],
            Source::Gated => &s.up[..n * width],
            Source::Latent => &s.latent.out[..n * width],
            Source::FeedForward | Source::LayerInput => &s.gate[..n * width],
            Source::Fused => &[],
        };
        quantize_rows(crew, quant, floats, width, &mut s.blocks, at)?;
        let blocks = if matches!(source, Source::Fused) { &s.inner } else { &s.blocks };
        let x = Input { floats, blocks: blocks_of(blocks, n, width) };
        let t = &mut s.t[..n * c.dim];
        self.lap.op(source.op(), || times.cost(n, [&linear.w]));
        foresee(crew, n, self.model, &then.weights);
        foresee_alone(
            crew,
            n,
            then.norms.iter().flat_map(|norm| norm.parts()).chain([&s.x[..n * c.dim], &s.h[..n * c.dim]]),
        );
        times.one(n, &linear.w, x, t, &mut s.low);
        if linear.bias.is_some() {
            crew.rows(t, c.dim, n >= SPLIT, |_, _, t| bias(linear, t));
        }
        Ok(())
    }
}

/// Where the sines and cosines of row `row` of `n` are in table `table`.
fn turns(c: &ModelConfig, table: usize, n: usize, row: usize) -> Range<usize> {
    let before: usize = c.rope_pairs().take(table).sum();
    let half = c.rope_pairs().nth(table).unwrap_or(0);
    let first = before * n + row * half;
    first..first + half
}

/// Which buffer a projection back to the stream reads.
enum Source {
    Attention,
    /// The layer's input after its norm.
    Normed,
    /// Outputs of heads, of a delta net or of a state space, with their gates.
    Gated,
    Latent,
    FeedForward,
    LayerInput,
    /// Blocks already.
    Fused,
}

impl Source {
    /// The product that it goes into.
    fn op(&self) -> Op {
        match self {
            Self::Attention | Self::Normed | Self::Gated | Self::Latent => Op::AttentionOutput,
            Self::FeedForward | Self::Fused => Op::DownProduct,
            Self::LayerInput => Op::LayerInput,
        }
    }
}

fn bias(linear: &Linear, row: &mut [f32]) {
    if let Some(b) = &linear.bias {
        add(row, b);
    }
}

/// Norms one row in place.
fn norm(isa: CpuIsa, x: &mut [f32], with: &Norm, eps: f32) {
    match with.kind {
        NormKind::Rms => rms_norm(isa, x, &with.w, eps),
        NormKind::Layer => layer_norm(isa, x, &with.w, with.bias.as_deref(), eps),
    }
}

/// What norming `rows` rows costs; without a norm they are only copied.
fn norm_cost(rows: usize, width: usize, with: Option<&Norm>) -> Cost {
    let float = match with.map(|w| w.kind) {
        None => 0,
        Some(NormKind::Rms) => 2,
        Some(NormKind::Layer) => 4,
    };
    Cost::elements(rows, width, 2, float)
}
