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
    /// Keys that a query chooses at most, of positions, or of several.
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

    /// That of layers whose keys each stand for neighbouring positions, which are chosen together; among the layers that attend,
    /// some take the choice of the one before.
    pub(super) fn pool_indexer(
        &self,
        attending: &LayerSet,
        layers: usize,
        rope_dim: usize,
    ) -> Result<Indexer, EngineError> {
        let all = self.indexer_sizes(rope_dim)?;
        let (key, ratio) = ("attention.indexer.kpool", self.need("attention.indexer.kpool")?);
        if ratio < 2 || !all.most.is_multiple_of(ratio) {
            return self.bad(key, format!("{ratio} positions a key, of which {} are chosen", all.most));
        }
        // A state of so many rows for each layer.
        if ratio.saturating_mul(all.dim) > MAX {
            return self.bad(key, "positions times channels is out of any bounds");
        }
        let tail = "attention.indexer.kpool_select_tail";
        if self.flag(tail)? == Some(false) {
            return self.bad(tail, "queries that do not see the positions behind the last key are not supported");
        }
        // Of the keys' norm; no file has another, and those of other architectures do not say it.
        let eps = "attention.layer_norm_epsilon";
        if let Some(v) = self.positive(eps)?.filter(|v| *v != 1e-6) {
            return self.bad(eps, format!("{v}; of the indexer's keys, only 1e-6 is supported"));
        }
        let key = "attention.indexer.types";
        let own = self.flags(key, layers)?;
        let chooses = |i: &usize| own.as_ref().is_none_or(|own| own[*i]);
        if (0..layers).find(|i| attending.has(*i)).is_some_and(|i| !chooses(&i)) {
            return self.bad(key, "the first layer that attends has no choice to take from another");
        }
        let listed = (0..layers).map(|i| attending.has(i) && chooses(&i)).collect();
        Ok(Indexer { layers: LayerSet::Listed(listed), ratio, most: all.most / ratio, ..all })
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
