//! Gemma 3n: several residual streams, a low-rank part beside the attention, and a table with what each token brings to each
//! layer.

use super::{Fill, Shape, Tensor};
use hewn_kernels::Format;
use hewn_kernels::op::altup::STREAMS;
use hewn_loader::{GgufWriter, MetaValue};
use std::io;

/// What it has besides a [`Shape`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gemma3n {
    /// Positions that layers with a window see.
    pub window: usize,
    /// Every so many layers, one sees everything.
    pub full_every: usize,
    /// Last layers that do not read their keys and values, but those of an earlier layer.
    pub shared_kv: usize,
    /// Channels of what a token brings to a layer.
    pub inputs: usize,
    /// Channels of the low-rank part beside the attention.
    pub rank: usize,
    /// First layers that cut their gates off.
    pub cut_off: usize,
}

impl Gemma3n {
    /// All tensors but the embedding and the last norm; `matrix` as in [`delta::tensors`](super::delta::tensors).
    pub(super) fn tensors(
        &self,
        s: &Shape,
        matrix: &dyn Fn(String, [usize; 2], f32) -> Tensor,
        back: f32,
    ) -> Vec<Tensor> {
        let vector = |name: String, n, fill| Tensor { name, count: 1, rows: 1, cols: n, format: Format::F32, fill };
        // What is customarily not quantized.
        let kept = |name, shape, size| Tensor { format: Format::F16, ..matrix(name, shape, size) };
        let small = |name, rows| {
            let fill = Fill::Random(0.1);
            Tensor { name, count: 1, rows, cols: STREAMS, format: Format::F32, fill }
        };
        let rows = s.layers * self.inputs;
        let streams = |name: &str| Tensor { count: STREAMS - 1, ..kept(name.into(), [s.dim; 2], 1.0) };
        let mut all = vec![
            matrix("per_layer_token_embd.weight".into(), [s.vocab, rows], (rows as f32).sqrt() / 16.0),
            kept("per_layer_model_proj.weight".into(), [rows, s.dim], 1.0),
            vector("per_layer_proj_norm.weight".into(), self.inputs, Fill::Norm),
            streams("altup_proj.weight"),
            streams("altup_unembd_proj.weight"),
        ];
        let (q, kv) = (s.heads * s.head_dim, s.kv_heads * s.head_dim);
        for i in 0..s.layers {
            let name = |part: &str| format!("blk.{i}.{part}.weight");
            let norms = [
                "attn_norm",
                "post_attention_norm",
                "ffn_norm",
                "post_ffw_norm",
                "post_norm",
                "altup_router_norm",
                "altup_correct_scale",
                "laurel_post_norm",
            ];
            all.extend(norms.map(|part| vector(name(part), s.dim, Fill::Norm)));
            all.extend(["attn_q_norm", "attn_k_norm"].map(|part| vector(name(part), s.head_dim, Fill::Norm)));
            all.extend([
                matrix(name("attn_q"), [q, s.dim], 1.0),
                matrix(name("attn_k"), [kv, s.dim], 1.0),
                matrix(name("attn_v"), [kv, s.dim], 1.0),
                matrix(name("attn_output"), [s.dim, q], back),
                matrix(name("ffn_gate"), [s.ff, s.dim], 1.0),
                matrix(name("ffn_up"), [s.ff, s.dim], 1.0),
                matrix(name("ffn_down"), [s.dim, s.ff], back),
                matrix(name("inp_gate"), [self.inputs, s.dim], 1.0),
                matrix(name("proj"), [s.dim, self.inputs], back),
                kept(name("laurel_l"), [self.rank, s.dim], 1.0),
                kept(name("laurel_r"), [s.dim, self.rank], 1.0),
                // Its outputs are divided by the channels.
                kept(name("altup_router"), [STREAMS, s.dim], s.dim as f32),
                small(name("altup_predict_coef"), STREAMS * STREAMS),
                small(name("altup_correct_coef"), STREAMS),
            ]);
        }
        all
    }

    /// The metadata that no other shape has.
    pub(super) fn metadata(&self, w: &mut GgufWriter, s: &Shape) -> io::Result<()> {
        let key = |key: &str| format!("{}.{key}", s.arch);
        let sizes = [
            ("attention.sliding_window", self.window),
            ("attention.shared_kv_layers", self.shared_kv),
            ("embedding_length_per_layer_input", self.inputs),
            ("altup.num_inputs", STREAMS),
            ("altup.active_idx", 0),
        ];
        for (name, v) in sizes {
            w.meta(&key(name), MetaValue::U32(v as u32))?;
        }
        let each = |of: &dyn Fn(usize) -> MetaValue| MetaValue::Array((0..s.layers).map(of).collect());
        let full = |i: usize| i % self.full_every == self.full_every - 1;
        let cut_off = |i: usize| if i < self.cut_off { 1.644_853_5 } else { f32::NEG_INFINITY };
        w.meta(&key("activation_sparsity_scale"), each(&|i| MetaValue::F32(cut_off(i))))?;
        w.meta(&key("attention.sliding_window_pattern"), each(&|i| MetaValue::Bool(!full(i))))?;
        w.meta(&key("rope.freq_base_swa"), MetaValue::F32(10_000.0))
    }
}
