//! Hyperparameters, read from the metadata and checked before anything is sized by them.

use crate::arch::{self, Arch};
use crate::error::EngineError;
use hewn_loader::{Gguf, Metadata};

/// The shape of a model.
#[derive(Clone, Debug)]
pub struct ModelConfig {
    /// The architecture.
    pub arch: &'static Arch,
    /// `general.name`, where there is one.
    pub name: Option<String>,
    /// Layers.
    pub layers: usize,
    /// Channels of the residual stream.
    pub dim: usize,
    /// Channels of the feed-forward part.
    pub ff: usize,
    /// Query heads.
    pub heads: usize,
    /// Key/value heads; divides `heads`.
    pub kv_heads: usize,
    /// Channels of a query or key head.
    pub k_dim: usize,
    /// Channels of a value head.
    pub v_dim: usize,
    /// Tokens in the vocabulary.
    pub vocab: usize,
    /// Positions that the model was trained for.
    pub ctx: usize,
    /// Epsilon of the norms.
    pub eps: f32,
    /// Channels of a head that are turned.
    pub rope_dim: usize,
    /// Base of the rotary frequencies.
    pub rope_base: f32,
    /// Positions are divided by this (linear scaling); 1 for none.
    pub rope_factor: f32,
}

/// Bounds far above any real model, so that products of hyperparameters cannot overflow.
const MAX: usize = 1 << 24;

struct Reader<'a> {
    meta: Metadata<'a>,
    prefix: &'static str,
}

impl Reader<'_> {
    fn key(&self, key: &str) -> String {
        format!("{}.{key}", self.prefix)
    }

    fn bad<T>(&self, key: &str, reason: impl Into<String>) -> Result<T, EngineError> {
        Err(EngineError::Config { key: self.key(key), reason: reason.into() })
    }

    fn size(&self, key: &str) -> Result<Option<usize>, EngineError> {
        match self.meta.u32(&self.key(key))? {
            None => Ok(None),
            Some(v) if (1..=MAX).contains(&(v as usize)) => Ok(Some(v as usize)),
            Some(v) => self.bad(key, format!("{v} is not within 1..={MAX}")),
        }
    }

    fn need(&self, key: &str) -> Result<usize, EngineError> {
        match self.size(key)? {
            Some(v) => Ok(v),
            None => self.bad(key, "the key is missing"),
        }
    }

    fn positive(&self, key: &str) -> Result<Option<f32>, EngineError> {
        match self.meta.f32(&self.key(key))? {
            Some(v) if !(v.is_finite() && v > 0.0) => self.bad(key, format!("{v} is not a positive number")),
            v => Ok(v),
        }
    }
}

impl ModelConfig {
    /// Reads and checks the hyperparameters of a file.
    pub fn from_gguf(gguf: &Gguf) -> Result<Self, EngineError> {
        let meta = gguf.metadata();
        let arch_key = "general.architecture";
        let Some(name) = meta.str(arch_key)? else {
            return Err(EngineError::Config { key: arch_key.into(), reason: "the key is missing".into() });
        };
        let Some(arch) = arch::find(name) else {
            return Err(EngineError::Architecture { name: name.into(), supported: arch::names() });
        };
        let r = Reader { meta, prefix: arch.name };
        r.refuse_what_is_not_built()?;
        let (dim, heads) = (r.need("embedding_length")?, r.need("attention.head_count")?);
        let kv_heads = r.size("attention.head_count_kv")?.unwrap_or(heads);
        if !heads.is_multiple_of(kv_heads) {
            return r.bad("attention.head_count_kv", format!("{kv_heads} does not divide the {heads} query heads"));
        }
        let k_dim = match r.size("attention.key_length")? {
            Some(k) => k,
            None if dim.is_multiple_of(heads) => dim / heads,
            None => return r.bad("attention.head_count", format!("{heads} heads do not divide {dim} channels")),
        };
        let v_dim = r.size("attention.value_length")?.unwrap_or(k_dim);
        let rope_dim = r.size("rope.dimension_count")?.unwrap_or(k_dim);
        if rope_dim > k_dim || !rope_dim.is_multiple_of(2) {
            return r.bad("rope.dimension_count", format!("{rope_dim} is not an even number up to {k_dim}"));
        }
        if heads.max(kv_heads).saturating_mul(k_dim.max(v_dim)) > MAX {
            return r.bad("attention.head_count", "heads times channels is out of any bounds");
        }
        let ctx = r.need("context_length")?;
        // Within its window, sliding attention is full attention.
        let ctx = r.size("attention.sliding_window").unwrap_or(None).map_or(ctx, |w| ctx.min(w));
        let eps = match r.positive("attention.layer_norm_rms_epsilon")? {
            Some(v) => v,
            None => return r.bad("attention.layer_norm_rms_epsilon", "the key is missing"),
        };
        let vocab = match gguf.tensor("token_embd.weight") {
            Some(t) => usize::try_from(t.rows()).unwrap_or(usize::MAX),
            None => return Err(EngineError::MissingTensor { name: "token_embd.weight".into() }),
        };
        if !(1..=MAX).contains(&vocab) {
            return Err(EngineError::Config { key: "token_embd.weight".into(), reason: format!("{vocab} tokens") });
        }
        Ok(Self {
            arch,
            name: meta.str("general.name").ok().flatten().map(str::to_owned),
            layers: r.need("block_count")?,
            dim,
            ff: r.need("feed_forward_length")?,
            heads,
            kv_heads,
            k_dim,
            v_dim,
            vocab,
            ctx,
            eps,
            rope_dim,
            rope_base: r.positive("rope.freq_base")?.unwrap_or(10000.0),
            rope_factor: r.linear_factor()?,
        })
    }

    /// Channels of all query heads together.
    pub fn q_width(&self) -> usize {
        self.heads * self.k_dim
    }

    /// Channels of all attention outputs together.
    pub fn att_width(&self) -> usize {
        self.heads * self.v_dim
    }
}

impl Reader<'_> {
    /// Features that change the arithmetic and are not built: better an error than wrong text.
    fn refuse_what_is_not_built(&self) -> Result<(), EngineError> {
        if let Some(n) = self.meta.u32(&self.key("expert_count"))?
            && n > 0
        {
            return self.bad("expert_count", format!("mixtures of experts ({n}) are not supported"));
        }
        Ok(())
    }

    fn linear_factor(&self) -> Result<f32, EngineError> {
        let legacy = self.positive("rope.scale_linear")?;
        let factor = self.positive("rope.scaling.factor")?.or(legacy);
        match self.meta.str(&self.key("rope.scaling.type"))? {
            None | Some("linear") => Ok(factor.unwrap_or(1.0)),
            Some("none") => Ok(1.0),
            Some(other) => self.bad("rope.scaling.type", format!("`{other}` is not supported; none and linear are")),
        }
    }
}
