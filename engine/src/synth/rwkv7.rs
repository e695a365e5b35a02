//! RWKV 7: no attention, but matrices that learn, with what tells them how from matrices of low rank.

use super::{Fill, Shape, Tensor};
use hewn_kernels::Format;
use hewn_loader::{GgufWriter, MetaValue};
use std::io;

/// What it has besides a [`Shape`]: the channels between its matrices of low rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rwkv7 {
    /// Of decays.
    pub decay: usize,
    /// Of how fast matrices learn.
    pub rate: usize,
    /// Of how much of the first layer's values counts.
    pub residual: usize,
    /// Of the output's gates.
    pub gate: usize,
}

/// What reads a mixture of a row with the row before.
const MIXED: usize = 6;

impl Rwkv7 {
    /// All tensors but the embedding, the output and the weights of the last norm; `matrix` as in
    /// [`delta::tensors`](super::delta::tensors).
    pub(super) fn tensors(
        &self,
        s: &Shape,
        matrix: &dyn Fn(String, [usize; 2], f32) -> Tensor,
        back: f32,
    ) -> Vec<Tensor> {
        let vector = |name: String, n, fill| Tensor { name, count: 1, rows: 1, cols: n, format: Format::F32, fill };
        let bias = |name: String| vector(format!("{name}.bias"), s.dim, Fill::Random(0.1));
        let norm = |name: String| [vector(format!("{name}.weight"), s.dim, Fill::Norm), bias(name)];
        let mut all = vec![bias("output_norm".into())];
        all.extend(norm("token_embd_norm".into()));
        for i in 0..s.layers {
            let part = |part: &str| format!("blk.{i}.{part}");
            let name = |one: &str| format!("blk.{i}.{one}.weight");
            all.extend(["attn_norm", "attn_norm_2", "time_mix_ln"].into_iter().flat_map(|one| norm(part(one))));
            let square = |one: &str, size| matrix(name(one), [s.dim; 2], size);
            all.extend(["time_mix_receptance", "time_mix_key", "time_mix_value"].map(|one| square(one, 1.0)));
            all.push(square("time_mix_output", back));
            // None of these is quantized; converters keep those of decays in full. Nothing reads those for values of the first
            // layer, which are of another size.
            for (of, rank, format) in [
                ("w", self.decay, Format::F32),
                ("a", self.rate, Format::F16),
                ("v", if i == 0 { self.rate } else { self.residual }, Format::F16),
                ("g", self.gate, Format::F16),
            ] {
                let kept = |n: usize, shape| {
                    let one = matrix(name(&format!("time_mix_{of}{n}")), shape, 1.0);
                    Tensor { format, ..one }
                };
                if of != "g" {
                    all.push(vector(name(&format!("time_mix_{of}0")), s.dim, Fill::Random(0.5)));
                }
                all.extend([kept(1, [rank, s.dim]), kept(2, [s.dim, rank])]);
            }
            for one in ["time_mix_k_k", "time_mix_k_a", "time_mix_r_k"] {
                all.push(vector(name(one), s.dim, Fill::Random(0.5)));
            }
            let shares = vector(name("time_mix_lerp_fused"), s.dim, Fill::Random(0.3));
            all.push(Tensor { count: MIXED, ..shares });
            all.push(vector(name("channel_mix_lerp_k"), s.dim, Fill::Random(0.3)));
            all.push(matrix(name("channel_mix_key"), [s.ff, s.dim], 1.0));
            all.push(matrix(name("channel_mix_value"), [s.dim, s.ff], back));
        }
        all
    }

    pub(super) fn metadata(&self, w: &mut GgufWriter, s: &Shape) -> io::Result<()> {
        let key = |key: &str| format!("{}.{key}", s.arch);
        for (name, v) in [
            ("wkv.head_size", s.head_dim),
            ("attention.decay_lora_rank", self.decay),
            ("attention.iclr_lora_rank", self.rate),
            ("attention.value_residual_mix_lora_rank", self.residual),
            ("attention.gate_lora_rank", self.gate),
        ] {
            w.meta(&key(name), MetaValue::U32(v as u32))?;
        }
        w.meta(&key("attention.layer_norm_epsilon"), MetaValue::F32(s.eps))
    }
}
