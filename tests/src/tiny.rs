//! Tiny random-weight models in every format, made here, with a working tokenizer and a chat template.
//!
//! They let a clone without the reference material test the real loader, tokenizer, kernels and decoder; one of them
//! is committed as `tests/data/tiny-random.gguf` (see `examples/make_tiny.rs`).

use hewn_engine::ModelConfig;
use hewn_kernels::Format;
use hewn_kernels::op::rope::Pairing;
use hewn_loader::{Gguf, GgufWriter, MetaValue, TensorInfo, TensorType};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use std::collections::BTreeMap;

/// What to make.
#[derive(Clone, Debug)]
pub struct Shape {
    /// `llama`, `qwen2` or `qwen3moe`.
    pub arch: &'static str,
    /// Format of every matrix.
    pub format: Format,
    /// Layers.
    pub layers: usize,
    /// Channels.
    pub dim: usize,
    /// Feed-forward channels.
    pub ff: usize,
    /// Query heads.
    pub heads: usize,
    /// KV heads.
    pub kv_heads: usize,
    /// Channels of a head.
    pub head_dim: usize,
    /// Whether the output projection is the embedding.
    pub tied: bool,
    /// Biases of q, k and v.
    pub qkv_bias: bool,
    /// Rotary base.
    pub rope_base: f64,
    /// Rotary pairs.
    pub pairing: Pairing,
    /// Norm epsilon.
    pub eps: f64,
    /// Norms of each query and key head.
    pub head_norm: bool,
    /// Positions that a token sees.
    pub window: Option<usize>,
    /// Experts in place of the feed-forward part, and how many take each row.
    pub experts: Option<[usize; 2]>,
}

impl Shape {
    /// A `qwen2` of 256 channels: wide enough for every block format.
    pub fn qwen2(format: Format) -> Self {
        Self {
            arch: "qwen2",
            format,
            layers: 2,
            dim: 256,
            ff: 512,
            heads: 4,
            kv_heads: 2,
            head_dim: 64,
            tied: true,
            qkv_bias: true,
            rope_base: 10000.0,
            pairing: Pairing::Halves,
            eps: 1e-6,
            head_norm: false,
            window: None,
            experts: None,
        }
    }

    /// A `qwen3moe`: normed heads, two of five experts.
    pub fn qwen3moe(format: Format) -> Self {
        let experts = Some([5, 2]);
        Self { arch: "qwen3moe", qkv_bias: false, head_norm: true, experts, ff: 256, ..Self::qwen2(format) }
    }

    /// A `llama` with a sliding window, as Mistral's.
    pub fn windowed(format: Format) -> Self {
        Self { window: Some(40), ..Self::llama(format) }
    }

    /// A `llama` likewise, with odd sizes where the format allows: heads of 40 channels, an untied output.
    pub fn llama(format: Format) -> Self {
        let (heads, head_dim) = if format.block_len() > 32 { (4, 64) } else { (4, 40) };
        Self {
            arch: "llama",
            dim: if format.block_len() > 32 { 256 } else { 160 },
            heads,
            kv_heads: 1,
            head_dim,
            tied: false,
            qkv_bias: false,
            pairing: Pairing::Neighbours,
            eps: 1e-5,
            ..Self::qwen2(format)
        }
    }

    /// The model of `tests/data`: small in bytes.
    pub fn data() -> Self {
        Self { dim: 64, ff: 128, heads: 4, kv_heads: 2, head_dim: 16, ..Self::qwen2(Format::Q4_0) }
    }
}

/// A made model: the file's bytes, and the same weights as f64.
pub struct Tiny {
    /// What was asked for.
    pub shape: Shape,
    /// The GGUF file.
    pub bytes: Vec<u8>,
    /// Weights by name: rows of a matrix, or one row for a vector.
    weights: BTreeMap<String, Vec<Vec<f64>>>,
}

/// Tokens: 256 bytes, a few merges, and the chat markers.
pub const MERGES: [&str; 12] =
    ["Ġ t", "h e", "Ġt he", "i n", "e r", "Ġ a", "o n", "a n", "an d", "Ġ and", "o u", "Ġ s"];
const SPECIALS: [&str; 5] = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"];

/// The ChatML template that the made models carry.
pub const TEMPLATE: &str = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}\
{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

impl Tiny {
    /// Makes the model; the same seed gives the same file.
    pub fn make(shape: Shape, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let tokens = vocabulary();
        let mut w = GgufWriter::new();
        metadata(&mut w, &shape, &tokens);
        let (kv, q) = (shape.kv_heads * shape.head_dim, shape.heads * shape.head_dim);
        let mut list: Vec<(String, usize, usize)> = vec![("token_embd.weight".into(), tokens.len(), shape.dim)];
        list.push(("output_norm.weight".into(), 1, shape.dim));
        if !shape.tied {
            list.push(("output.weight".into(), tokens.len(), shape.dim));
        }
        for l in 0..shape.layers {
            let mut add = |part: &str, rows, cols| list.push((format!("blk.{l}.{part}"), rows, cols));
            add("attn_norm.weight", 1, shape.dim);
            add("ffn_norm.weight", 1, shape.dim);
            for (part, rows) in [("attn_q", q), ("attn_k", kv), ("attn_v", kv)] {
                add(&format!("{part}.weight"), rows, shape.dim);
                if shape.qkv_bias {
                    add(&format!("{part}.bias"), 1, rows);
                }
            }
            if shape.head_norm {
                add("attn_q_norm.weight", 1, shape.head_dim);
                add("attn_k_norm.weight", 1, shape.head_dim);
            }
            add("attn_output.weight", shape.dim, q);
            if let Some([n, _]) = shape.experts {
                add("ffn_gate_inp.weight", n, shape.dim);
                add("ffn_gate_exps.weight", n * shape.ff, shape.dim);
                add("ffn_up_exps.weight", n * shape.ff, shape.dim);
                add("ffn_down_exps.weight", n * shape.dim, shape.ff);
                continue;
            }
            add("ffn_gate.weight", shape.ff, shape.dim);
            add("ffn_up.weight", shape.ff, shape.dim);
            add("ffn_down.weight", shape.dim, shape.ff);
        }
        let mut weights = BTreeMap::new();
        let mut data = Vec::new();
        for (name, rows, cols) in list {
            let vector = rows == 1;
            // Scores in F32, and far apart: no rounding sends a row to another expert.
            let router = name.ends_with("ffn_gate_inp.weight");
            let format = if vector || router { Format::F32 } else { shape.format };
            let bytes = if vector {
                let base = if name.ends_with("norm.weight") { 1.0 } else { 0.0 };
                (0..cols).flat_map(|_| (base + 0.1 * float(&mut rng)).to_le_bytes()).collect()
            } else if router {
                (0..rows * cols).flat_map(|_| (2.0 * float(&mut rng)).to_le_bytes()).collect()
            } else {
                random_matrix(format, rows, cols, &mut rng)
            };
            let row_bytes = format.row_bytes(cols).unwrap();
            let rows_f64 = bytes.chunks(row_bytes).map(|row| {
                let mut out = vec![0.0; cols];
                format.dequantize(row, &mut out);
                out.into_iter().map(f64::from).collect()
            });
            weights.insert(name.clone(), rows_f64.collect());
            let count = shape.experts.filter(|_| name.contains("_exps.")).map_or(1, |[n, _]| n);
            let dims: Vec<u64> = match (vector, count) {
                (true, _) => vec![cols as u64],
                (false, 1) => vec![cols as u64, rows as u64],
                (false, n) => vec![cols as u64, (rows / n) as u64, n as u64],
            };
            w.tensor(&name, &dims, TensorType::from_id(format.id())).unwrap();
            data.push(bytes);
        }
        let mut bytes = Vec::new();
        w.write_to(&mut bytes, data.iter().map(|d| &d[..])).unwrap();
        Self { shape, bytes, weights }
    }

    /// The weights of a `qwen2` or `llama` file, for the naive decoder.
    pub fn read(gguf: &Gguf) -> Self {
        let c = ModelConfig::from_gguf(gguf).unwrap();
        let shape = Shape {
            arch: c.arch.name,
            format: Format::F32,
            layers: c.layers,
            dim: c.dim,
            ff: c.ff,
            heads: c.heads,
            kv_heads: c.kv_heads,
            head_dim: c.k_dim,
            tied: gguf.tensor("output.weight").is_none(),
            qkv_bias: c.arch.qkv_bias,
            rope_base: c.rope.base.into(),
            pairing: c.arch.pairing,
            eps: c.eps.into(),
            head_norm: false,
            window: None,
            experts: None,
        };
        let rows = |t: &TensorInfo| {
            let format = Format::from_id(t.dtype.id()).unwrap();
            let cols = t.cols() as usize;
            let row = |row: &[u8]| {
                let mut out = vec![0.0; cols];
                format.dequantize(row, &mut out);
                out.into_iter().map(f64::from).collect()
            };
            gguf.tensor_data(t).chunks(format.row_bytes(cols).unwrap()).map(row).collect()
        };
        let weights = gguf.tensors().iter().map(|t| (t.name.clone(), rows(t))).collect();
        Self { shape, bytes: Vec::new(), weights }
    }

    /// A vector of weights.
    pub fn vector(&self, name: &str) -> Vec<f64> {
        self.weights[name][0].clone()
    }

    /// Row `i` of a matrix.
    pub fn row(&self, name: &str, i: usize) -> Vec<f64> {
        self.weights[name][i].clone()
    }

    /// Matrix times vector.
    pub fn times(&self, name: &str, x: &[f64]) -> Vec<f64> {
        self.weights[name].iter().map(|row| row.iter().zip(x).map(|(w, x)| w * x).sum()).collect()
    }

    /// Matrix `i` of several in one tensor, of `rows` rows each, times vector.
    pub fn times_one_of(&self, name: &str, i: usize, rows: usize, x: &[f64]) -> Vec<f64> {
        let one = &self.weights[name][i * rows..(i + 1) * rows];
        one.iter().map(|row| row.iter().zip(x).map(|(w, x)| w * x).sum()).collect()
    }

    /// Tokens in the vocabulary.
    pub fn vocab(&self) -> usize {
        self.weights["token_embd.weight"].len()
    }
}

/// Within -1..1.
fn float(rng: &mut ChaCha8Rng) -> f32 {
    rng.next_u32() as f32 / (1u64 << 31) as f32 - 1.0
}

/// Random weights of about 0.05: random integers, with scales to match.
fn random_matrix(format: Format, rows: usize, cols: usize, rng: &mut ChaCha8Rng) -> Vec<u8> {
    let half = |v: f32| half::f16::from_f32(v).to_le_bytes();
    let n = rows * cols;
    match format {
        Format::F32 => (0..n).flat_map(|_| (0.09 * float(rng)).to_le_bytes()).collect(),
        Format::F16 => (0..n).flat_map(|_| half(0.09 * float(rng))).collect(),
        Format::Bf16 => (0..n).flat_map(|_| half::bf16::from_f32(0.09 * float(rng)).to_le_bytes()).collect(),
        _ => {
            let mut bytes = vec![0; n / format.block_len() * format.block_bytes()];
            rng.fill_bytes(&mut bytes);
            for b in bytes.chunks_mut(format.block_bytes()) {
                let s = 1.0 + 0.3 * float(rng);
                match format {
                    Format::Q4_0 => b[..2].copy_from_slice(&half(0.01 * s)),
                    Format::Q5_0 => b[..2].copy_from_slice(&half(0.005 * s)),
                    Format::Q8_0 => b[..2].copy_from_slice(&half(0.0007 * s)),
                    Format::Q4_1 => {
                        b[..2].copy_from_slice(&half(0.01 * s));
                        b[2..4].copy_from_slice(&half(-0.075 * s));
                    }
                    Format::Q5_1 => {
                        b[..2].copy_from_slice(&half(0.005 * s));
                        b[2..4].copy_from_slice(&half(-0.078 * s));
                    }
                    // Random 6-bit scales of 32 on average.
                    Format::Q4K => {
                        b[..2].copy_from_slice(&half(0.0003 * s));
                        b[2..4].copy_from_slice(&half(0.002 * s));
                    }
                    Format::Q5K => {
                        b[..2].copy_from_slice(&half(0.00015 * s));
                        b[2..4].copy_from_slice(&half(0.002 * s));
                    }
                    Format::Q6K => b[208..].copy_from_slice(&half(0.00004 * s)),
                    Format::Q2K => {
                        let mut scales = [0.0036 * s, 0.0054 * s].into_iter().cycle();
                        format.write_scales(b, || scales.next().unwrap());
                    }
                    _ => format.write_scales(b, || scale_of(format) * s),
                }
            }
            bytes
        }
    }
}

/// The scale that makes random integers of a format, times their own scales, weights of about 0.05.
fn scale_of(format: Format) -> f32 {
    match format {
        Format::Q3K => 0.0012,
        Format::Iq4Nl => 0.0007,
        Format::Iq4Xs => 0.00004,
        Format::Mxfp4 | Format::Nvfp4 => 0.009,
        Format::Tq1_0 | Format::Tq2_0 => 0.06,
        Format::Iq3S | Format::Iq3Xxs => 0.0003,
        Format::Iq2S | Format::Iq2Xs | Format::Iq2Xxs => 0.0008,
        Format::Iq1S | Format::Iq1M => 0.007,
        _ => unreachable!("{} is made elsewhere", format.name()),
    }
}

/// The 256 byte tokens in the GPT-2 alphabet, the merged ones, the specials.
pub fn vocabulary() -> Vec<String> {
    let printable = |b: u32| matches!(b, 33..=126 | 161..=172 | 174..=255);
    let mut extra = 0;
    let byte = |b: u32| {
        let c = if printable(b) {
            b
        } else {
            extra += 1;
            255 + extra
        };
        char::from_u32(c).map(String::from).unwrap_or_default()
    };
    let bytes = (0..256).map(byte).collect::<Vec<_>>();
    let merged = MERGES.iter().map(|m| m.replace(' ', ""));
    bytes.into_iter().chain(merged).chain(SPECIALS.map(String::from)).collect()
}

fn metadata(w: &mut GgufWriter, s: &Shape, tokens: &[String]) {
    let mut put = |key: &str, v: MetaValue| w.meta(key, v).unwrap();
    put("general.architecture", MetaValue::Str(s.arch.into()));
    put("general.name", MetaValue::Str("tiny random weights".into()));
    let sizes = [
        ("context_length", 512),
        ("embedding_length", s.dim),
        ("block_count", s.layers),
        ("feed_forward_length", s.ff),
        ("attention.head_count", s.heads),
        ("attention.head_count_kv", s.kv_heads),
        ("attention.key_length", s.head_dim),
        ("attention.value_length", s.head_dim),
        ("rope.dimension_count", s.head_dim),
    ];
    for (key, v) in sizes {
        put(&format!("{}.{key}", s.arch), MetaValue::U32(v as u32));
    }
    if let Some(window) = s.window {
        put(&format!("{}.attention.sliding_window", s.arch), MetaValue::U32(window as u32));
    }
    if let Some([n, used]) = s.experts {
        put(&format!("{}.expert_count", s.arch), MetaValue::U32(n as u32));
        put(&format!("{}.expert_used_count", s.arch), MetaValue::U32(used as u32));
        put(&format!("{}.expert_feed_forward_length", s.arch), MetaValue::U32(s.ff as u32));
    }
    put(&format!("{}.attention.layer_norm_rms_epsilon", s.arch), MetaValue::F32(s.eps as f32));
    put(&format!("{}.rope.freq_base", s.arch), MetaValue::F32(s.rope_base as f32));
    let strings = |v: &[String]| MetaValue::Array(v.iter().map(|s| MetaValue::Str(s.clone())).collect());
    put("tokenizer.ggml.model", MetaValue::Str("gpt2".into()));
    put("tokenizer.ggml.pre", MetaValue::Str("qwen2".into()));
    put("tokenizer.ggml.tokens", strings(tokens));
    let special = tokens.len() - SPECIALS.len();
    let kind = |i: usize| MetaValue::I32(if i < special { 1 } else { if i < special + 3 { 3 } else { 4 } });
    put("tokenizer.ggml.token_type", MetaValue::Array((0..tokens.len()).map(kind).collect()));
    put("tokenizer.ggml.merges", strings(&MERGES.map(String::from)));
    put("tokenizer.ggml.eos_token_id", MetaValue::U32(special as u32 + 2));
    put("tokenizer.ggml.add_bos_token", MetaValue::Bool(false));
    put("tokenizer.chat_template", MetaValue::Str(TEMPLATE.into()));
}
