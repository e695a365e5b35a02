//! The weights of a model: where each matrix lies in the file, and the small vectors as f32.

use crate::config::ModelConfig;
use crate::error::{EngineError, zeroed};
use crate::packed::{Slot, Target};
use hewn_kernels::Format;
use hewn_kernels::op::matmul::{Layout, Matrix};
use hewn_loader::{Gguf, TensorInfo};
use std::collections::HashSet;

/// A matrix `[rows, cols]` that stays in the file, or in a packed file once it was switched to that.
#[derive(Clone, Debug)]
pub(crate) struct MatrixRef {
    tensor: TensorInfo,
    format: Format,
    pub rows: usize,
    pub cols: usize,
    slot: Slot,
}

impl MatrixRef {
    /// The view of the bytes to be read now. The shape was checked when the reference was made; the layout may be
    /// another at the next call.
    pub fn view<'a>(&'a self, gguf: &'a Gguf) -> Matrix<'a> {
        let (layout, data) = match self.slot.get() {
            Some(packed) => (Layout::Packed, packed),
            None => (Layout::File, gguf.tensor_data(&self.tensor)),
        };
        Matrix::new(self.format, layout, self.rows, self.cols, data).expect("checked when the model was opened")
    }

    /// The same matrix with a switch of its own.
    fn apart(&self) -> Self {
        Self { slot: Slot::default(), ..self.clone() }
    }

    fn target(&self, looked_up: bool) -> Target {
        let (tensor, slot) = (self.tensor.clone(), self.slot.clone());
        Target { tensor, format: self.format, rows: self.rows, cols: self.cols, looked_up, slot }
    }

    /// Whether products take quantized activations.
    pub fn is_quant(&self) -> bool {
        self.format.is_quant()
    }
}

/// A matrix and the bias that may be added to its product.
#[derive(Clone, Debug)]
pub(crate) struct Linear {
    pub w: MatrixRef,
    pub bias: Option<Vec<f32>>,
}

/// One layer.
#[derive(Clone, Debug)]
pub(crate) struct LayerWeights {
    pub attn_norm: Vec<f32>,
    pub q: Linear,
    pub k: Linear,
    pub v: Linear,
    pub o: Linear,
    pub ffn_norm: Vec<f32>,
    pub gate: Linear,
    pub up: Linear,
    pub down: Linear,
}

/// All of them.
#[derive(Clone, Debug)]
pub(crate) struct Weights {
    pub embed: MatrixRef,
    pub layers: Vec<LayerWeights>,
    pub out_norm: Vec<f32>,
    /// The embedding again where the file ties them.
    pub output: MatrixRef,
    /// Divisors of the rotary frequencies (`[rope_dim / 2]`), for Llama 3's long context.
    pub rope_factors: Option<Vec<f32>>,
}

struct Loader<'a> {
    gguf: &'a Gguf,
    used: HashSet<String>,
}

impl Loader<'_> {
    fn find(&mut self, name: &str, dims: &[usize]) -> Result<Option<TensorInfo>, EngineError> {
        let Some(t) = self.gguf.tensor(name) else { return Ok(None) };
        let want: Vec<u64> = dims.iter().map(|d| *d as u64).collect();
        if significant(&t.dims) != significant(&want) {
            return Err(EngineError::TensorShape { name: name.into(), want, have: t.dims.clone() });
        }
        self.used.insert(name.to_owned());
        Ok(Some(t.clone()))
    }

    fn format(&self, t: &TensorInfo) -> Result<Format, EngineError> {
        Format::from_id(t.dtype.id()).ok_or_else(|| EngineError::TensorFormat {
            name: t.name.clone(),
            format: t.dtype.name().to_owned(),
            id: t.dtype.id(),
            supported: Format::ALL.iter().map(|f| f.name()).collect::<Vec<_>>().join(", "),
        })
    }

    fn matrix(&mut self, name: &str, rows: usize, cols: usize) -> Result<Option<MatrixRef>, EngineError> {
        let Some(tensor) = self.find(name, &[cols, rows])? else { return Ok(None) };
        let format = self.format(&tensor)?;
        Matrix::new(format, Layout::File, rows, cols, self.gguf.tensor_data(&tensor))
            .map_err(|source| EngineError::Matrix { name: name.into(), source })?;
        Ok(Some(MatrixRef { tensor, format, rows, cols, slot: Slot::default() }))
    }

    fn vector(&mut self, name: &str, n: usize) -> Result<Option<Vec<f32>>, EngineError> {
        let Some(t) = self.find(name, &[n])? else { return Ok(None) };
        let format = self.format(&t)?;
        let mut v = zeroed(n, "a vector of weights")?;
        format.dequantize(self.gguf.tensor_data(&t), &mut v);
        Ok(Some(v))
    }

    fn linear(&mut self, name: &str, rows: usize, cols: usize, biased: bool) -> Result<Linear, EngineError> {
        let w = need(self.matrix(&format!("{name}.weight"), rows, cols)?, name, "weight")?;
        let bias = self.vector(&format!("{name}.bias"), rows)?;
        if biased && bias.is_none() {
            return Err(EngineError::MissingTensor { name: format!("{name}.bias") });
        }
        Ok(Linear { w, bias })
    }
}

/// Dimensions without trailing ones, which mean nothing.
fn significant(dims: &[u64]) -> &[u64] {
    &dims[..dims.iter().rposition(|d| *d != 1).map_or(1, |last| last + 1).min(dims.len())]
}

fn need<T>(found: Option<T>, name: &str, part: &str) -> Result<T, EngineError> {
    found.ok_or_else(|| EngineError::MissingTensor { name: format!("{name}.{part}") })
}

impl Weights {
    /// Finds every tensor of the architecture and checks its shape and format; a tensor left over is an error.
    pub fn load(gguf: &Gguf, c: &ModelConfig) -> Result<Self, EngineError> {
        // A layer has at least nine tensors: a bound on the layers before anything is sized by them.
        if c.layers > gguf.tensors().len() {
            let reason = format!("{} layers, but only {} tensors", c.layers, gguf.tensors().len());
            return Err(EngineError::Config { key: format!("{}.block_count", c.arch.name), reason });
        }
        let mut l = Loader { gguf, used: HashSet::new() };
        let embed = need(l.matrix("token_embd.weight", c.vocab, c.dim)?, "token_embd", "weight")?;
        let out_norm = need(l.vector("output_norm.weight", c.dim)?, "output_norm", "weight")?;
        let output = l.matrix("output.weight", c.vocab, c.dim)?.unwrap_or_else(|| embed.apart());
        let rope_factors = l.vector("rope_freqs.weight", c.rope_dim / 2)?;
        if rope_factors.iter().flatten().any(|f| !(f.is_finite() && *f > 0.0)) {
            let reason = "a divisor of the rotary frequencies is not a positive number".into();
            return Err(EngineError::Config { key: "rope_freqs.weight".into(), reason });
        }
        let layers = (0..c.layers).map(|i| l.layer(i, c)).collect::<Result<_, _>>()?;
        let rest = gguf.tensors().iter().find(|t| !l.used.contains(&t.name) && !is_ignorable(&t.name));
        match rest {
            Some(t) => Err(EngineError::UnexpectedTensor { name: t.name.clone(), arch: c.arch.name }),
            None => Ok(Self { embed, layers, out_norm, output, rope_factors }),
        }
    }
}

impl Weights {
    /// The matrices that take part in products, in the order of their use. The embedding is none of them, as its rows
    /// are looked up in the file.
    pub fn targets(&self) -> Vec<Target> {
        let parts = |l: &LayerWeights| [&l.q, &l.k, &l.v, &l.o, &l.gate, &l.up, &l.down].map(|p| p.w.target(false));
        let output = self.output.target(self.output.tensor == self.embed.tensor);
        self.layers.iter().flat_map(parts).chain([output]).collect()
    }
}

/// Tables that old converters stored and every reader computes for itself.
fn is_ignorable(name: &str) -> bool {
    name.ends_with(".attn_rot_embd")
        || name.ends_with(".rotary_emb.inv_freq")
        || name.ends_with(".attn_rot_embd.weight")
}

impl Loader<'_> {
    fn layer(&mut self, i: usize, c: &ModelConfig) -> Result<LayerWeights, EngineError> {
        let name = |part: &str| format!("blk.{i}.{part}");
        let (kw, vw, biased) = (c.kv_heads * c.k_dim, c.kv_heads * c.v_dim, c.arch.qkv_bias);
        let norm = |l: &mut Self, part| need(l.vector(&name(&format!("{part}.weight")), c.dim)?, &name(part), "weight");
        Ok(LayerWeights {
            attn_norm: norm(self, "attn_norm")?,
            q: self.linear(&name("attn_q"), c.q_width(), c.dim, biased)?,
            k: self.linear(&name("attn_k"), kw, c.dim, biased)?,
            v: self.linear(&name("attn_v"), vw, c.dim, biased)?,
            o: self.linear(&name("attn_output"), c.dim, c.att_width(), false)?,
            ffn_norm: norm(self, "ffn_norm")?,
            gate: self.linear(&name("ffn_gate"), c.ff, c.dim, false)?,
            up: self.linear(&name("ffn_up"), c.ff, c.dim, false)?,
            down: self.linear(&name("ffn_down"), c.dim, c.ff, false)?,
        })
    }
}
