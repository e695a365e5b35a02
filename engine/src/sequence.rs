//! A sequence: the tokens so far and their keys and values.

use crate::config::ModelConfig;
use crate::error::EngineError;
use crate::model::Model;
use hewn_kernels::{KvLayer, KvShape, KvType};

/// How a sequence is made.
#[derive(Clone, Debug, Default)]
pub struct SequenceOptions {
    /// The most positions it may hold; the model's trained context when not given.
    pub ctx: Option<usize>,
    /// Number format of its cache.
    pub kv: KvType,
}

/// One conversation's state. Its cache grows as tokens arrive, in tiles of 64 positions.
#[derive(Debug)]
pub struct Sequence {
    pub(crate) layers: Vec<KvLayer>,
    pub(crate) tokens: Vec<u32>,
    ctx: usize,
}

pub(crate) fn kv_shape(c: &ModelConfig, kind: KvType) -> KvShape {
    KvShape { kind, heads: c.kv_heads, k_dim: c.k_dim, v_dim: c.v_dim }
}

impl Sequence {
    /// An empty sequence for `model`.
    ///
    /// # Errors
    /// A context of 0 or beyond what the model was trained for.
    pub fn new(model: &Model, options: &SequenceOptions) -> Result<Self, EngineError> {
        let c = model.config();
        let ctx = options.ctx.unwrap_or(c.ctx);
        if ctx == 0 || ctx > c.ctx {
            let reason = format!("{ctx} is not within 1..={}, the context that the model was trained for", c.ctx);
            return Err(EngineError::Option { name: "ctx", reason });
        }
        let shape = kv_shape(c, options.kv);
        let first = KvLayer::new(shape);
        let layers = (0..c.layers).map(|_| first.sibling(shape)).collect();
        Ok(Self { layers, tokens: Vec::new(), ctx })
    }

    /// The same tokens, keys and values once more: a conversation that goes on in two ways.
    ///
    /// # Errors
    /// There is not enough memory.
    pub fn try_clone(&self) -> Result<Self, EngineError> {
        let layers = self.layers.iter().map(KvLayer::try_clone).collect::<Result<_, _>>()?;
        Ok(Self { layers, tokens: self.tokens.clone(), ctx: self.ctx })
    }

    /// Tokens held.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// The tokens held.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// The most tokens it can hold.
    pub fn ctx(&self) -> usize {
        self.ctx
    }

    /// Bytes of cache held now.
    pub fn kv_bytes(&self) -> usize {
        self.layers.iter().map(KvLayer::bytes).sum()
    }

    /// Forgets the tokens from `len` on, as for an edit or another try.
    pub fn truncate(&mut self, len: usize) {
        self.tokens.truncate(len);
        self.layers.iter_mut().for_each(|l| l.truncate(len));
    }

    /// Whether the sequence was made for a model of this shape.
    pub(crate) fn fits(&self, c: &ModelConfig) -> bool {
        self.layers.len() == c.layers
            && self.layers.iter().all(|l| *l.shape() == kv_shape(c, l.shape().kind) && l.len() == self.tokens.len())
    }
}
