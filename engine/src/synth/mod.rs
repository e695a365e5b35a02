//! Model files with random weights, in the shapes of well-known models: to measure speed without the weights.
//!
//! A file has all metadata of its architecture and a vocabulary of the right size that works (bytes, a few merges, padding
//! tokens), so that other programs load it too. It is written as it is made, in pieces: memory stays small.

mod delta;
mod gemma3n;
mod gemma4;
mod mamba;
mod mix;
mod rwkv7;
mod shapes;
mod short_convolution;
mod space;
mod vocab;

pub use delta::Delta;
pub use gemma3n::Gemma3n;
pub use gemma4::Gemma4;
pub use mamba::Mamba;
pub use mix::{MIXES, Mix};
pub use rwkv7::Rwkv7;
pub use shapes::{Experts, SHAPES, Shape};
pub use space::Space;

use hewn_kernels::Format;
use hewn_kernels::format::random::{RandomWeights, SplitMix};
use hewn_loader::{GgufWriter, MetaValue, TensorType};
use std::io::{self, Write};
use std::ops::ControlFlow;

/// Why no file was made.
#[derive(Debug, thiserror::Error)]
pub enum SynthError {
    /// The output failed.
    #[error("the file could not be written: {0}")]
    Io(#[from] io::Error),
    /// The caller stopped it.
    #[error("stopped")]
    Cancelled,
}

/// Bytes written at a time, rounded to whole blocks.
const PIECE: usize = 1 << 20;

/// A tensor of the file.
struct Tensor {
    name: String,
    /// Matrices one below the other.
    count: usize,
    /// Rows of each.
    rows: usize,
    cols: usize,
    format: Format,
    fill: Fill,
}

/// What is in it.
enum Fill {
    /// Random weights of this root mean square.
    Random(f32),
    /// Random numbers around 1.
    Norm,
    /// Logarithms of decays: from slow ones to fast ones.
    Rates,
    /// Divisors of the rotary frequencies: Llama 3's, or Gemma 4's.
    RopeFactors,
}

impl Tensor {
    fn bytes(&self) -> u64 {
        self.format.row_bytes(self.cols).unwrap_or(0) as u64 * (self.count * self.rows) as u64
    }
}

/// Writes a model of that shape and mix. The same seed gives the same file. `progress` is told the bytes of weights written
/// and in all.
///
/// # Errors
/// The output's, or `progress` broke it off.
pub fn write(
    shape: &Shape,
    mix: Mix,
    seed: u64,
    out: &mut impl Write,
    progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<(), SynthError> {
    let tensors = tensors(shape, mix);
    let mut w = GgufWriter::new();
    metadata(&mut w, shape, mix)?;
    for t in &tensors {
        let mut dims = [t.cols, t.rows, t.count, 1].map(|n| n as u64);
        if t.rows == 1 {
            // So RWKV's files have several vectors.
            dims.swap(2, 3);
        }
        let significant = dims.iter().rposition(|d| *d != 1).map_or(1, |last| last + 1);
        w.tensor(&t.name, &dims[..significant], TensorType::from_id(t.format.id()))?;
    }
    let total = tensors.iter().map(Tensor::bytes).sum();
    let mut done = 0;
    let mut stream = w.stream(out)?;
    let mut piece = Vec::new();
    for (i, t) in tensors.iter().enumerate() {
        let seed = seed ^ (i as u64).wrapping_mul(0xd1b5_4a32_d192_ed03);
        let mut source = Source::new(t, shape, seed);
        let block = t.format.block_bytes() as u64;
        let mut left = t.bytes();
        while left > 0 {
            let n = left.min(PIECE as u64 / block * block);
            piece.resize(n as usize, 0);
            source.fill(&mut piece);
            stream.write(&piece)?;
            (left, done) = (left - n, done + n);
            if progress(done, total).is_break() {
                return Err(SynthError::Cancelled);
            }
        }
    }
    stream.finish()?;
    Ok(())
}

/// Bytes of the weights of such a file.
pub fn weight_bytes(shape: &Shape, mix: Mix) -> u64 {
    tensors(shape, mix).iter().map(Tensor::bytes).sum()
}

enum Source {
    Weights(RandomWeights),
    Numbers(SplitMix, [f32; 2]),
    Bytes(Vec<u8>),
}

impl Source {
    fn new(t: &Tensor, s: &Shape, seed: u64) -> Self {
        match t.fill {
            Fill::Random(rms) => Self::Weights(RandomWeights::new(t.format, rms, seed)),
            Fill::Norm => Self::Numbers(SplitMix(seed), [1.0, 0.1]),
            Fill::Rates => Self::Numbers(SplitMix(seed), [-1.0, 0.95]),
            Fill::RopeFactors => {
                let divisors = if s.gemma4.is_some() { Gemma4::rope_divisors(s) } else { rope_factors(s) };
                Self::Bytes(divisors.into_iter().flat_map(f32::to_le_bytes).collect())
            }
        }
    }

    fn fill(&mut self, out: &mut [u8]) {
        match self {
            Self::Weights(w) => w.fill(out),
            Self::Numbers(rng, [middle, reach]) => {
                let mut number = || *middle + *reach * rng.float();
                out.chunks_exact_mut(4).for_each(|b| b.copy_from_slice(&number().to_le_bytes()));
            }
            // A table is far shorter than a piece.
            Self::Bytes(all) => out.copy_from_slice(all),
        }
    }
}

/// Every tensor. Sizes keep the stream near 1: a product of a normed input has about its size, and what the layers add to
/// the stream shrinks with their number.
fn tensors(s: &Shape, mix: Mix) -> Vec<Tensor> {
    let (q, kv) = (s.heads * s.head_dim, s.kv_heads * s.head_dim);
    let mut all = Vec::new();
    let vector = |name: String, n, fill| Tensor { name, count: 1, rows: 1, cols: n, format: Format::F32, fill };
    let facts = mix::facts(s);
    let matrix = |name: String, [rows, cols]: [usize; 2], size: f32| {
        let format = mix.format(&name, &facts, cols);
        Tensor { name, count: 1, rows, cols, format, fill: Fill::Random(size / (cols as f32).sqrt()) }
    };
    all.push(matrix("token_embd.weight".into(), [s.vocab, s.dim], 1.0));
    let out_norm = crate::arch::find(s.arch).map_or(Some("output_norm"), |arch| arch.out_norm);
    all.extend(out_norm.map(|norm| vector(format!("{norm}.weight"), s.dim, Fill::Norm)));
    if !s.tied {
        all.push(matrix("output.weight".into(), [s.vocab, s.dim], 1.0));
    }
    if s.rope_stretch > 0.0 {
        all.push(vector("rope_freqs.weight".into(), s.head_dim / 2, Fill::RopeFactors));
    }
    let back = 1.0 / (2.0 * s.layers as f32).sqrt();
    if let Some(more) = &s.gemma4 {
        all.extend(more.tensors(s, &matrix, back));
        return all;
    }
    if let Some(more) = &s.gemma3n {
        all.extend(more.tensors(s, &matrix, back));
        return all;
    }
    if let Some(more) = &s.rwkv7 {
        all.extend(more.tensors(s, &matrix, back));
        return all;
    }
    if let Some(more) = &s.mamba {
        all.extend(more.tensors(s, &matrix, back));
        return all;
    }
    for i in 0..s.layers {
        let name = |part: &str, kind: &str| format!("blk.{i}.{part}.{kind}");
        all.push(vector(name("attn_norm", "weight"), s.dim, Fill::Norm));
        let before_ff = if s.delta.is_some() { "post_attention_norm" } else { "ffn_norm" };
        all.push(vector(name(before_ff, "weight"), s.dim, Fill::Norm));
        let instead = delta::tensors(s, i, &matrix, back)
            .or_else(|| Space::tensors(s, i, &matrix, back))
            .or_else(|| short_convolution::tensors(s, i, &matrix, back));
        if let Some(tensors) = instead {
            all.extend(tensors);
        } else {
            if s.arch.starts_with("qwen3") || s.arch.starts_with("lfm2") {
                all.push(vector(name("attn_q_norm", "weight"), s.head_dim, Fill::Norm));
                all.push(vector(name("attn_k_norm", "weight"), s.head_dim, Fill::Norm));
            }
            // With gated heads, their gates come from the same matrix.
            let queries = if s.delta.is_some() { 2 * q } else { q };
            for (part, rows) in [("attn_q", queries), ("attn_k", kv), ("attn_v", kv)] {
                all.push(matrix(name(part, "weight"), [rows, s.dim], 1.0));
                if s.arch == "qwen2" {
                    all.push(vector(name(part, "bias"), rows, Fill::Random(0.1)));
                }
            }
            all.push(matrix(name("attn_output", "weight"), [s.dim, q], back));
        }
        let experts = s.experts.filter(|e| i >= e.dense);
        let (count, ff, suffix) = experts.map_or((1, s.ff, ""), |e| (e.count, e.ff, "_exps"));
        if count > 1 {
            // Routers are customarily not quantized.
            let router = matrix(name("ffn_gate_inp", "weight"), [count, s.dim], 1.0);
            all.push(Tensor { format: Format::F32, ..router });
            if s.arch == "lfm2moe" {
                all.push(vector(name("exp_probs_b", "bias"), count, Fill::Random(0.1)));
            }
        }
        for (part, shape, size) in
            [("ffn_gate", [ff, s.dim], 1.0), ("ffn_up", [ff, s.dim], 1.0), ("ffn_down", [s.dim, ff], back)]
        {
            let one = matrix(name(&format!("{part}{suffix}"), "weight"), shape, size);
            all.push(Tensor { count, ..one });
        }
    }
    all
}

/// Llama 3's stretch: high frequencies stay, low ones are divided, and between (1 to 4 turns in 8192 positions) it is blended.
fn rope_factors(s: &Shape) -> Vec<f32> {
    let of = |i: usize| {
        let frequency = f64::from(s.rope_base).powf(-2.0 * i as f64 / s.head_dim as f64);
        let turns = 8192.0 * frequency / std::f64::consts::TAU;
        let blend = ((turns - 1.0) / 3.0).clamp(0.0, 1.0);
        1.0 / ((1.0 - blend) / f64::from(s.rope_stretch) + blend)
    };
    (0..s.head_dim / 2).map(|i| of(i) as f32).collect()
}

fn metadata(w: &mut GgufWriter, s: &Shape, mix: Mix) -> io::Result<()> {
    let text = |v: &str| MetaValue::Str(v.into());
    w.meta("general.architecture", text(s.arch))?;
    w.meta("general.type", text("model"))?;
    w.meta("general.name", text(&format!("random weights, shape of {}", s.name)))?;
    w.meta("general.file_type", MetaValue::U32(mix.file_type()))?;
    w.meta("general.quantization_version", MetaValue::U32(2))?;
    let sizes = [
        ("vocab_size", s.vocab),
        ("context_length", s.ctx),
        ("embedding_length", s.dim),
        ("block_count", s.layers),
        ("attention.head_count", s.heads),
        ("attention.key_length", s.head_dim),
        ("attention.value_length", s.head_dim),
        // Beside delta nets, a quarter of the channels are turned.
        ("rope.dimension_count", if s.delta.is_some() { s.head_dim / 4 } else { s.head_dim }),
    ];
    for (key, v) in sizes {
        w.meta(&format!("{}.{key}", s.arch), MetaValue::U32(v as u32))?;
    }
    let kv_heads = |i: usize| MetaValue::U32(if s.attends(i) { s.kv_heads as u32 } else { 0 });
    let kv_heads = match s.attending {
        Some(_) => MetaValue::Array((0..s.layers).map(kv_heads).collect()),
        None => MetaValue::U32(s.kv_heads as u32),
    };
    w.meta(&format!("{}.attention.head_count_kv", s.arch), kv_heads)?;
    match &s.space {
        Some(space) => space.metadata(w, s)?,
        None if s.attending.is_some() => {
            w.meta(&format!("{}.shortconv.l_cache", s.arch), MetaValue::U32(short_convolution::TAPS as u32))?;
        }
        None => {}
    }
    match &s.gemma4 {
        Some(more) => more.metadata(w, s)?,
        None => w.meta(&format!("{}.feed_forward_length", s.arch), MetaValue::U32(s.ff as u32))?,
    }
    if let Some(more) = &s.gemma3n {
        more.metadata(w, s)?;
    }
    if let Some(more) = &s.rwkv7 {
        more.metadata(w, s)?;
    }
    if let Some(more) = &s.mamba {
        more.metadata(w, s)?;
    }
    if let Some(e) = s.experts {
        let mut sizes =
            vec![("expert_count", e.count), ("expert_used_count", e.used), ("expert_feed_forward_length", e.ff)];
        if e.dense > 0 {
            sizes.push(("leading_dense_block_count", e.dense));
        }
        if s.arch == "lfm2moe" {
            // The logistic function.
            sizes.push(("expert_gating_func", 2));
        }
        for (key, v) in sizes {
            w.meta(&format!("{}.{key}", s.arch), MetaValue::U32(v as u32))?;
        }
    }
    if let Some(d) = s.delta {
        let sizes = [
            ("ssm.conv_kernel", delta::TAPS),
            ("ssm.state_size", d.dim),
            ("ssm.group_count", d.k_heads),
            ("ssm.time_step_rank", d.v_heads),
            ("ssm.inner_size", d.v_heads * d.dim),
            ("full_attention_interval", delta::EVERY),
        ];
        for (key, v) in sizes {
            w.meta(&format!("{}.{key}", s.arch), MetaValue::U32(v as u32))?;
        }
        // A quarter of the pairs is left over.
        let third = s.head_dim as i32 / 8 / 3;
        let sections = [s.head_dim as i32 / 8 - 2 * third, third, third, 0].map(MetaValue::I32);
        w.meta(&format!("{}.rope.dimension_sections", s.arch), MetaValue::Array(sections.into()))?;
    }
    w.meta(&format!("{}.attention.layer_norm_rms_epsilon", s.arch), MetaValue::F32(s.eps))?;
    w.meta(&format!("{}.rope.freq_base", s.arch), MetaValue::F32(s.rope_base))?;
    vocab::write(w, s)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::{EncodeOptions, Tokenizer};
    use crate::{Model, Sequence, SequenceOptions};
    use hewn_loader::Gguf;

    fn make(name: &str, mix: Mix, seed: u64) -> Vec<u8> {
        let (mut file, mut last) = (Vec::new(), 0);
        let shape = Shape::find(name).unwrap();
        write(shape, mix, seed, &mut file, &mut |done, total| {
            assert!(done > last && done <= total);
            last = done;
            ControlFlow::Continue(())
        })
        .unwrap();
        assert_eq!(last, weight_bytes(shape, mix));
        file
    }

    #[test]
    fn every_mix_is_a_model_with_a_vocabulary() {
        for &mix in MIXES {
            let delta = make("tiny-delta", mix, 1);
            assert!(Model::from_gguf(Gguf::from_bytes(delta).unwrap()).unwrap().config().recurrent.is_some());
            let hybrid = Model::from_gguf(Gguf::from_bytes(make("tiny-ssm", mix, 1)).unwrap()).unwrap();
            assert_eq!([0, 1, 2].map(|i| hybrid.config().attends(i)), [false, true, false]);
            let lfm2 = Model::from_gguf(Gguf::from_bytes(make("tiny-lfm2", mix, 1)).unwrap()).unwrap();
            assert_eq!([0, 1, 2, 3].map(|i| lfm2.config().attends(i)), [false, false, true, false]);
            let gemma = make("tiny-gemma4", mix, 1);
            assert_eq!(Model::from_gguf(Gguf::from_bytes(gemma).unwrap()).unwrap().config().caches(), 3);
            let gemma = Model::from_gguf(Gguf::from_bytes(make("tiny-gemma3n", mix, 1)).unwrap()).unwrap();
            assert_eq!(gemma.config().altup.map(|a| (a.rank, gemma.config().caches())), Some((32, 4)));
            let rwkv = Model::from_gguf(Gguf::from_bytes(make("tiny-rwkv7", mix, 1)).unwrap()).unwrap();
            assert!((0..2).all(|i| rwkv.config().recurrent_of(i).is_some()));
            let mamba = Model::from_gguf(Gguf::from_bytes(make("tiny-mamba", mix, 1)).unwrap()).unwrap();
            assert!((0..2).all(|i| mamba.config().recurrent_of(i).is_some()));
            let moe = make("tiny-moe", mix, 1);
            assert!(Model::from_gguf(Gguf::from_bytes(moe).unwrap()).unwrap().config().experts.is_some());
            let file = make("tiny", mix, 1);
            assert_eq!(file, make("tiny", mix, 1), "the same seed, the same file");
            let model = Model::from_gguf(Gguf::from_bytes(file).unwrap()).unwrap();
            assert!(Sequence::new(&model, &SequenceOptions::default()).is_ok());
            let tokenizer = Tokenizer::from_gguf(model.gguf()).unwrap();
            assert_eq!(tokenizer.vocab_size(), model.config().vocab);
            let ids = tokenizer.encode("Hello the\nworld é", &EncodeOptions::default());
            assert!(!ids.is_empty() && ids.iter().all(|id| *id < 300), "{ids:?}");
        }
        assert_ne!(make("tiny", MIXES[0], 1), make("tiny", MIXES[0], 2));
    }

    #[test]
    fn shapes_are_consistent_and_as_large_as_their_models() {
        for s in SHAPES {
            assert!(s.heads % s.kv_heads == 0 && s.head_dim % 2 == 0 && s.vocab >= 300 && s.layers > 0, "{}", s.name);
        }
        let billions = |name: &str| {
            let weights = tensors(Shape::find(name).unwrap(), Mix::find("f32").unwrap());
            weights.iter().map(|t| t.count * t.rows * t.cols).sum::<usize>() as f64 / 1e9
        };
        for (name, size) in [
            ("r1-distill-qwen-1.5b", 1.777),
            ("r1-distill-qwen-7b", 7.616),
            ("r1-distill-llama-8b", 8.030),
            ("llama-3.2-1b", 1.236),
            ("qwen2.5-0.5b", 0.494),
            ("tinyllama-1.1b", 1.100),
            ("smollm2-135m", 0.1345),
            ("qwen3-0.6b", 0.596),
            ("qwen3-8b", 8.191),
            ("qwen3-30b-a3b", 30.532),
            ("qwen3.5-0.8b", 0.752),
            ("qwen3.5-4b", 4.206),
            ("gemma-4-e2b", 4.629),
            ("granite-4.0-h-350m", 0.340),
            ("gemma-3n-e2b", 4.457),
            ("gemma-3n-e4b", 6.867),
            ("lfm2-350m", 0.354_484),
            ("lfm2-1.2b", 1.170_341),
            ("lfm2-8b-a1b", 8.340),
            ("rwkv7-1.5b", 1.527_4),
            ("mamba-1.4b", 1.372),
        ] {
            assert!((billions(name) / size - 1.0).abs() < 1e-3, "{name}: {}", billions(name));
        }
    }

    #[test]
    fn it_can_be_stopped() {
        let mut stop = |_, _| ControlFlow::Break(());
        let result = write(Shape::find("tiny").unwrap(), MIXES[0], 1, &mut Vec::new(), &mut stop);
        assert!(matches!(result, Err(SynthError::Cancelled)));
    }
}
