//! Gemma 4's small models: layers of two kinds, the last of which read the keys and values of earlier ones, and a table with
//! what each token brings to each layer.

use super::{Fill, Shape, Tensor};
use hewn_kernels::Format;
use hewn_loader::{GgufWriter, MetaValue};
use std::io;

/// What they have besides a [`Shape`], whose `head_dim` is that of layers which see everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gemma4 {
    /// Channels of a head in layers with a window.
    pub window_head_dim: usize,
    /// Positions that those see.
    pub window: usize,
    /// Every so many layers, one sees everything.
    pub full_every: usize,
    /// Last layers without keys and values of their own; their feed-forward part is twice as wide.
    pub shared_kv: usize,
    /// Channels of what a token brings to a layer.
    pub inputs: usize,
}

impl Gemma4 {
    fn full(&self, i: usize) -> bool {
        i % self.full_every == self.full_every - 1
    }

    fn shares(&self, s: &Shape, i: usize) -> bool {
        i >= s.layers - self.shared_kv
    }

    fn ff(&self, s: &Shape, i: usize) -> usize {
        if self.shares(s, i) { 2 * s.ff } else { s.ff }
    }

    /// Divisors of the rotary frequencies: three quarters of the pairs are as good as not turned.
    pub(super) fn rope_divisors(s: &Shape) -> Vec<f32> {
        (0..s.head_dim / 2).map(|i| if i < s.head_dim / 8 { 1.0 } else { 1e30 }).collect()
    }

    /// All tensors but the embedding and the last norm; `matrix` as in [`delta::tensors`](super::delta::tensors).
    pub(super) fn tensors(
        &self,
        s: &Shape,
        matrix: &dyn Fn(String, [usize; 2], f32) -> Tensor,
        back: f32,
    ) -> Vec<Tensor> {
        let vector = |name: String, n, fill| Tensor { name, count: 1, rows: 1, cols: n, format: Format::F32, fill };
        let rows = s.layers * self.inputs;
        // It is customarily not quantized.
        let project =
            Tensor { format: Format::F16, ..matrix("per_layer_model_proj.weight".into(), [rows, s.dim], 1.0) };
        let mut all = vec![
            matrix("per_layer_token_embd.weight".into(), [s.vocab, rows], (rows as f32).sqrt() / 16.0),
            project,
            vector("per_layer_proj_norm.weight".into(), self.inputs, Fill::Norm),
            vector("rope_freqs.weight".into(), s.head_dim / 2, Fill::RopeFactors),
        ];
        for i in 0..s.layers {
            let name = |part: &str| format!("blk.{i}.{part}.weight");
            let head = if self.full(i) { s.head_dim } else { self.window_head_dim };
            let (q, kv, ff) = (s.heads * head, s.kv_heads * head, self.ff(s, i));
            let norms = ["attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm", "post_norm"];
            all.extend(norms.map(|part| vector(name(part), s.dim, Fill::Norm)));
            all.push(vector(name("attn_q_norm"), head, Fill::Norm));
            all.push(matrix(name("attn_q"), [q, s.dim], 1.0));
            if !self.shares(s, i) {
                all.push(vector(name("attn_k_norm"), head, Fill::Norm));
                all.extend(["attn_k", "attn_v"].map(|part| matrix(name(part), [kv, s.dim], 1.0)));
            }
            all.extend([
                matrix(name("attn_output"), [s.dim, q], back),
                matrix(name("ffn_gate"), [ff, s.dim], 1.0),
                matrix(name("ffn_up"), [ff, s.dim], 1.0),
                matrix(name("ffn_down"), [s.dim, ff], back),
                matrix(name("inp_gate"), [self.inputs, s.dim], 1.0),
                matrix(name("proj"), [s.dim, self.inputs], back),
                vector(name("layer_output_scale"), 1, Fill::Norm),
            ]);
        }
        all
    }

    /// The metadata that no other shape has, and what says the same of each layer.
    pub(super) fn metadata(&self, w: &mut GgufWriter, s: &Shape) -> io::Result<()> {
        let key = |key: &str| format!("{}.{key}", s.arch);
        let sizes = [
            ("attention.key_length_swa", self.window_head_dim),
            ("attention.value_length_swa", self.window_head_dim),
            ("rope.dimension_count_swa", self.window_head_dim),
            ("attention.sliding_window", self.window),
            ("attention.shared_kv_layers", self.shared_kv),
            ("embedding_length_per_layer_input", self.inputs),
        ];
        for (name, v) in sizes {
            w.meta(&key(name), MetaValue::U32(v as u32))?;
        }
        let each = |of: &dyn Fn(usize) -> MetaValue| MetaValue::Array((0..s.layers).map(of).collect());
        w.meta(&key("feed_forward_length"), each(&|i| MetaValue::U32(self.ff(s, i) as u32)))?;
        w.meta(&key("attention.sliding_window_pattern"), each(&|i| MetaValue::Bool(!self.full(i))))?;
        w.meta(&key("rope.freq_base_swa"), MetaValue::F32(10_000.0))?;
        w.meta(&key("final_logit_softcapping"), MetaValue::F32(30.0))
    }
}
