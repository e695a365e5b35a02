//! Lightning attention (MiniMax, arXiv 2501.08313): a matrix a head in place of keys and values, which fades by a factor of the
//! head and the layer.

use super::running::{starts, states};
use super::wkv::{ARRAYS, arrays};
use super::{Forward, SPLIT, Segment, Source, blocks_of, foresee, norm};
use crate::config::RecurrentPart;
use crate::error::EngineError;
use crate::record::{Cost, Op};
use crate::weights::Lightning;
use hewn_kernels::op::activation::{Activation, activate, gate};
use hewn_kernels::op::matmul::{Input, Product};
use hewn_kernels::op::wkv::{Answer, Told, wkv};

impl Forward<'_, '_> {
    /// `t = O(norm(wkv(silu(QKV h))) * sigmoid(Gate h))`.
    pub(super) fn lightning(
        &mut self,
        i: usize,
        w: &Lightning,
        segments: &mut [Segment<'_>],
    ) -> Result<(), EngineError> {
        let (c, n, crew, gguf) = (self.model.config(), self.n, self.crew, self.model.gguf());
        let times = self.times();
        let Some(RecurrentPart::Lightning(shape)) = c.recurrent_of(i) else { return Ok(()) };
        let (width, dim) = (shape.width(), shape.dim);
        self.quantize_h(&[&w.qkv, &w.gate], || format!("before the attention of layer {i}"))?;
        let s = &mut *self.s;
        let x = Input { floats: &s.h[..n * c.dim], blocks: blocks_of(&s.blocks, n, c.dim) };
        let (told, raw) = s.wkv.rows[..ARRAYS * n * width].split_at_mut(4 * n * width);
        let gates = &mut s.up[..n * width];
        self.lap.op(Op::QkvProduct, || times.cost(n, [&w.qkv, &w.gate]));
        foresee(crew, n, self.model, &[&w.o.w]);
        let qkv = Product { w: w.qkv.view(gguf), x, out: &mut *raw };
        let mut products = [qkv, Product { w: w.gate.view(gguf), x, out: &mut *gates }];
        times.all(n, [&w.qkv, &w.gate], &mut products, &mut s.low);

        self.lap.op(Op::Activation, || Cost::elements(n, 3 * width, 3, 20));
        crew.rows(raw, 3 * width, n >= SPLIT, |_, _, row| activate(crew.isa(), Activation::Silu, row));
        let raw = &*raw;
        let [asks, decays, keys, values] = arrays(told, n * width);
        let parts =
            asks.chunks_mut(dim).zip(keys.chunks_mut(dim)).zip(values.chunks_mut(dim).zip(decays.chunks_mut(dim)));
        for (j, ((asks, keys), (values, decays))) in parts.enumerate() {
            let from = &raw[j * 3 * dim..][..3 * dim];
            asks.copy_from_slice(&from[..dim]);
            keys.copy_from_slice(&from[dim..2 * dim]);
            values.copy_from_slice(&from[2 * dim..]);
            decays.fill(w.decays[j % shape.heads]);
        }

        let mut parts = states(segments, i)?;
        self.lap.op(Op::DeltaRule, || Cost {
            kv_bytes: (2 * parts.len() * shape.state().bytes()) as u64,
            float: (n * shape.operations()) as u64,
            ..Cost::elements(n, 5 * width, 1, 0)
        });
        let out = &mut s.running.raw[..n * shape.padded_width()];
        wkv(crew, shape, &mut parts, Told { asks, decays, keys, values }, Answer::After, out);

        self.lap.op(Op::Norm, || Cost::elements(n, width, 5, 22));
        let (starts, out, padded) = (starts(&parts), &*out, shape.padded_width());
        let mut rows: Vec<_> = s.att[..n * width].chunks_mut(width).zip(gates.chunks_mut(width)).collect();
        crew.rows(&mut rows, 1, n >= SPLIT, |_, r, pair| {
            let [first, rows] = starts[r];
            for (given, gates) in pair {
                shape.gather(&out[first * padded..][..rows * padded], rows, r - first, given);
                norm(crew.isa(), given, &w.norm, c.eps);
                gate(crew.isa(), Activation::Logistic, gates, given);
            }
        });
        let then = self.after_attention(i);
        self.project(Source::Gated, &w.o, &then, || format!("after the attention of layer {i}"))
    }
}
