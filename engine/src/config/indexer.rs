//! The hyperparameters of an indexer, which chooses the positions that queries attend to.

use super::LayerSet;
use super::reader::{MAX, Reader};
use crate::error::EngineError;

/// Of more positions than it chooses, it takes those with the best scores.
#[derive(Clone, Debug, PartialEq)]
pub struct Indexer {
    /// Heads of its queries.
    pub heads: usize,
    /// Channels of each, and of its keys.
    pub dim: usize,
    /// Positions that a query attends to at most, or entries of several.
    pub most: usize,
    /// Positions that one key stands for.
    pub ratio: usize,
    /// Layers that choose; the others take the choice of the one before.
    pub layers: LayerSet,
}

impl Indexer {
    /// Whether queries of a sequence of up to `ctx` positions will have to choose.
    pub fn chooses(&self, ctx: usize) -> bool {
        ctx / self.ratio > self.most
    }
}

impl Reader<'_> {
    /// Its sizes, for all layers.
    pub(super) fn indexer_sizes(&self, rope_dim: usize) -> Result<Indexer, EngineError> {
        let (heads, key) = (self.need("attention.indexer.head_count")?, "attention.indexer.key_length");
        let dim = self.need(key)?;
        if heads.saturating_mul(dim) > MAX {
            return self.bad(key, "heads times channels is out of any bounds");
        }
        if dim < rope_dim {
            return self.bad(key, format!("{dim} channels, of which {rope_dim} are turned"));
        }
        let most = self.need("attention.indexer.top_k")?;
        Ok(Indexer { heads, dim, most, ratio: 1, layers: LayerSet::All })
    }

    pub(super) fn indexer(&self, layers: usize, ctx: usize, rope_dim: usize) -> Result<Indexer, EngineError> {
        let all = self.indexer_sizes(rope_dim)?;
        let key = "attention.indexer.types";
        // From a million positions on, files of GLM 5.2 leave out what their converter knew.
        let layers = match self.flags(key, layers)? {
            Some(list) => LayerSet::Listed(list),
            None if ctx >= 1 << 20 => LayerSet::Listed((0..layers).map(|i| i < 2 || i % 4 == 2).collect()),
            None => LayerSet::All,
        };
        if !layers.has(0) {
            return self.bad(key, "the first layer has no choice to take from another");
        }
        Ok(Indexer { layers, ..all })
    }
}
