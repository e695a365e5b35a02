//! What each token brings to each layer besides its embedding (Gemma 3n and 4): a row of a table of its own, mixed with
//! what the embedding gives for the layer. At the end of a layer it is gated by the stream and joins it.

use super::{Forward, SPLIT, Segment, Source, blocks_of, foresee, norm, quantize_rows};
use crate::error::EngineError;
use crate::record::{Cost, Op};
use crate::weights::{LayerInput, LayerInputs, LayerWeights, MatrixRef};
use hewn_kernels::op::activation::{add, gate, scale};
use hewn_kernels::op::matmul::Input;
use std::f32::consts::FRAC_1_SQRT_2;

impl Forward<'_, '_> {
    /// `layer_inputs = (norm(Project x / sqrt(dim)) + sqrt(inputs) * table[token]) / sqrt(2)`, with a norm for each layer;
    /// `x` holds the embeddings.
    pub(super) fn layer_inputs(&mut self, w: &LayerInputs, segments: &[Segment<'_>]) -> Result<(), EngineError> {
        let (c, n, crew, gguf) = (self.model.config(), self.n, self.crew, self.model.gguf());
        let width = w.project.rows;
        let then = self.model.weights().layers.first().map_or_else(Vec::new, LayerWeights::first);
        self.stream_product(&w.project, &then, Target::Inputs, || "among the embeddings".into())?;
        let table = w.table.view(gguf);
        let tokens: Vec<u32> = segments.iter().flat_map(|s| s.tokens).copied().collect();
        // A norm takes two instructions, and there are four more.
        self.lap.op(Op::Embedding, || Cost {
            weight_bytes: (table.data().len() / table.rows().max(1) * n) as u64,
            ..Cost::elements(n, width, 2, 6)
        });
        let (before, own) = (1.0 / (c.dim as f32).sqrt(), (c.layer_inputs as f32).sqrt());
        crew.rows(&mut self.s.layer_inputs[..n * width], width, n >= SPLIT, |worker, r, row| {
            crew.with_scratch(worker, width * size_of::<f32>(), |bytes| {
                let looked_up: &mut [f32] = bytemuck::cast_slice_mut(bytes);
                // Tokens were checked against the vocabulary.
                table.format().dequantize(table.file_row(tokens[r] as usize).unwrap_or(&[]), looked_up);
                scale(looked_up, own);
                scale(row, before);
                row.chunks_mut(c.layer_inputs).for_each(|layer| norm(crew.isa(), layer, &w.norm, c.eps));
                add(row, looked_up);
                scale(row, FRAC_1_SQRT_2);
            });
        });
        Ok(())
    }

    /// `x += norm(Back(act(Gate x) * layer_inputs[i]))`; of several streams, all but the first take it.
    pub(super) fn layer_input(&mut self, i: usize, w: &LayerInput) -> Result<(), EngineError> {
        let (c, n, crew) = (self.model.config(), self.n, self.crew);
        let at = || format!("before the input of layer {i}");
        self.stream_product(&w.gate, &[&w.back.w], Target::Gate, at)?;
        let (own, all) = (c.layer_inputs, c.layers * c.layer_inputs);
        self.lap.op(Op::Activation, || Cost::elements(n, own, 3, 20));
        let inputs = &self.s.layer_inputs;
        crew.rows(&mut self.s.gate[..n * own], own, n >= SPLIT, |_, r, row| {
            gate(crew.isa(), c.arch.activation, row, &inputs[r * all + i * own..][..own]);
        });
        let then = self.after_layer(i);
        self.project(Source::LayerInput, &w.back, &then, || format!("in the input of layer {i}"))?;
        match c.altup {
            None => self.join_stream(Some(&w.norm), 1.0),
            Some(_) => self.join_other_streams(&w.norm),
        }
        Ok(())
    }

    /// The product of the stream itself, no norm before it, with `w`; that after it is with `then`.
    fn stream_product(
        &mut self,
        w: &MatrixRef,
        then: &[&MatrixRef],
        to: Target,
        at: impl Fn() -> String,
    ) -> Result<(), EngineError> {
        let (dim, n, crew, times) = (self.model.config().dim, self.n, self.crew, self.times());
        self.lap_quantize(w.is_quant(), n, dim);
        let s = &mut *self.s;
        let floats = &s.x[..n * dim];
        quantize_rows(crew, w.is_quant(), floats, dim, &mut s.blocks, at)?;
        let x = Input { floats, blocks: blocks_of(&s.blocks, n, dim) };
        let out = match to {
            Target::Inputs => &mut s.layer_inputs[..n * w.rows],
            Target::Gate => &mut s.gate[..n * w.rows],
        };
        self.lap.op(Op::LayerInput, || times.cost(n, [w]));
        foresee(crew, n, self.model, then);
        times.one(n, w, x, out, &mut s.low);
        Ok(())
    }
}

/// Where a product goes.
enum Target {
    Inputs,
    Gate,
}
