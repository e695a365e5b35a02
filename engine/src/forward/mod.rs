//! The decoder, top to bottom: tokens in, logits of the rows asked for out.
//!
//! A step's rows may belong to several sequences. Every operation works on all rows at once; only the cache is a
//! sequence's own. Because each kernel's result for a row does not depend on the other rows, neither do the logits.

mod attention;
mod feed_forward;

use crate::error::EngineError;
use crate::model::Model;
use crate::scratch::Scratch;
use crate::sequence::Sequence;
use crate::weights::{Linear, MatrixRef};
use hewn_kernels::Crew;
use hewn_kernels::op::activation::add;
use hewn_kernels::op::matmul::{Input, Matrix, Product, expect, matmul};
use hewn_kernels::op::norm::rms_norm;
use hewn_kernels::op::quantize::{ActBlock, GROUP, quantize};
use hewn_kernels::op::rope::angles;
use std::sync::atomic::{AtomicBool, Ordering};

/// Consecutive tokens of one sequence within a step.
pub(crate) struct Segment<'a> {
    pub seq: &'a mut Sequence,
    pub tokens: &'a [u32],
}

/// One step in the making.
pub(crate) struct Forward<'a> {
    pub model: &'a Model,
    pub crew: &'a Crew<'a>,
    pub s: &'a mut Scratch,
    /// Rows of this step.
    pub n: usize,
}

/// Rows from which elementwise work is worth a parallel region.
const SPLIT: usize = 4;

impl Forward<'_> {
    /// Runs the rows of `segments` through all layers, appending to their caches, and writes the logits of the rows in
    /// `wanted` to `out` (`[wanted.len(), vocab]`).
    pub fn run(&mut self, segments: &mut [Segment<'_>], wanted: &[usize], out: &mut [f32]) -> Result<(), EngineError> {
        let model = self.model;
        self.embed(segments);
        self.turn_tables(segments);
        for (i, layer) in model.weights().layers.iter().enumerate() {
            self.attention_part(i, layer, segments)?;
            self.feed_forward_part(i, layer)?;
        }
        self.logits(wanted, out)
    }

    fn embed(&mut self, segments: &[Segment<'_>]) {
        let embed = self.model.weights().embed.view(self.model.gguf());
        let tokens: Vec<u32> = segments.iter().flat_map(|s| s.tokens).copied().collect();
        let dim = embed.cols();
        self.crew.rows(&mut self.s.x[..self.n * dim], dim, self.n >= SPLIT, |_, i, x| {
            // Tokens were checked against the vocabulary.
            let row = embed.file_row(tokens[i] as usize).unwrap_or(&[]);
            embed.format().dequantize(row, x);
        });
    }

    fn turn_tables(&mut self, segments: &[Segment<'_>]) {
        let freqs = self.model.freqs();
        let positions = segments.iter().flat_map(|s| (s.seq.len()..s.seq.len() + s.tokens.len()).map(|p| p as u32));
        let tables = self.s.cos.chunks_exact_mut(freqs.len()).zip(self.s.sin.chunks_exact_mut(freqs.len()));
        positions.zip(tables).for_each(|(p, (cos, sin))| angles(p, freqs, cos, sin));
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
        self.norm(&w.out_norm);
        self.quantize_h(&[&w.output], || "before the output projection".into())?;
        let x = Input { floats: &self.s.h[..self.n * c.dim], blocks: blocks_of(&self.s.blocks, self.n, c.dim) };
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
        quantize_rows(crew, floats, width, &[&linear.w], &mut s.blocks, at)?;
        let x = Input { floats, blocks: blocks_of(&s.blocks, n, width) };
        let t = &mut s.t[..n * c.dim];
        expect(crew, n, then);
        matmul(crew, n, &mut [Product { w: linear.w.view(self.model.gguf()), x, out: &mut *t }]);
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
