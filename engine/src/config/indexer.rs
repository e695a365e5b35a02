//! The hyperparameters of an indexer, which chooses the positions that queries attend to.

use super::heads::Heads;
use super::reader::{MAX, Reader};
use super::{LayerSet, Window};
use crate::arch::Indexed;
use crate::error::EngineError;

/// Of more positions than it chooses, it takes those with the best scores.
#[derive(Clone, Debug, PartialEq)]
pub struct Indexer {
    /// Heads of its queries.
    pub heads: usize,
    /// Channels of each, and of its keys.
    pub dim: usize,
    /// The first of those that are turned.
    pub turned_from: usize,
    /// Epsilon of its norms.
    pub eps: f32,
    /// Keys that a query chooses at most, of positions, or of several.
    pub most: usize,
    /// Positions that one key stands for.
    pub ratio: usize,
    /// Layers that choose.
    pub layers: LayerSet,
    /// Whether the others take the choice of the one before; otherwise they see all.
    pub shared: bool,
    /// Blocks of positions that it chooses, for each key/value head by a head of its own; otherwise it chooses positions.
    pub blocks: Option<Blocks>,
}

/// Of blocks of positions, those with the best scores; a block's is that of its best position.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Blocks {
    /// Positions of each.
    pub size: usize,
    /// How many are chosen.
    pub best: usize,
    /// The last ones, which are chosen in any case.
    pub last: usize,
}

/// Epsilon of a norm that is not the stream's.
const KEY_EPS: f32 = 1e-6;

impl Indexer {
    /// Whether queries of a sequence of up to `ctx` positions will have to choose.
    pub fn chooses(&self, ctx: usize) -> bool {
        ctx / self.ratio > self.most
    }
}

impl Reader<'_> {
    /// Heads and their channels, of which so many are turned.
    fn indexer_heads(&self, rope_dim: usize) -> Result<[usize; 2], EngineError> {
        let (heads, key) = (self.need("attention.indexer.head_count")?, "attention.indexer.key_length");
        let dim = self.need(key)?;
        if heads.saturating_mul(dim) > MAX {
            return self.bad(key, "heads times channels is out of any bounds");
        }
        if dim < rope_dim {
            return self.bad(key, format!("{dim} channels, of which {rope_dim} are turned"));
        }
        Ok([heads, dim])
    }

    /// Its sizes, where keys are those of all layers and the first channels are turned.
    pub(super) fn indexer_sizes(&self, rope_dim: usize) -> Result<Indexer, EngineError> {
        let [heads, dim] = self.indexer_heads(rope_dim)?;
        let most = self.need("attention.indexer.top_k")?;
        Ok(Indexer {
            heads,
            dim,
            turned_from: 0,
            eps: KEY_EPS,
            most,
            ratio: 1,
            layers: LayerSet::All,
            shared: true,
            blocks: None,
        })
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
        if let Some(v) = self.positive(eps)?.filter(|v| *v != KEY_EPS) {
            return self.bad(eps, format!("{v}; of the indexer's keys, only {KEY_EPS:e} is supported"));
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

    /// The indexer, where the file has one; known are the model's layers, context, heads, epsilon and windows.
    pub(super) fn indexer(
        &self,
        kind: &Indexed,
        [layers, ctx]: [usize; 2],
        h: &Heads,
        eps: f32,
        window: Option<&Window>,
    ) -> Result<Option<Indexer>, EngineError> {
        let most = self.size_or_none("attention.indexer.top_k")?;
        let most = match most {
            None if kind.may_lack => {
                for key in ["head_count", "key_length", "types"] {
                    self.key(&format!("attention.indexer.{key}"));
                }
                return Ok(None);
            }
            None => return self.missing("attention.indexer.top_k"),
            Some(most) => most,
        };
        let [heads, dim] = self.indexer_heads(h.rope_dim)?;
        let not_turned = dim - h.rope_dim;
        let blocks = if kind.blocks { Some(self.blocks(most, heads, h.kv)?) } else { None };
        let most = blocks.map_or(most, |b| b.size.saturating_mul(b.best));
        let layers = match kind.blocks {
            true => {
                let first = self.size_or_none("leading_dense_block_count")?.unwrap_or(0);
                LayerSet::Listed((0..layers).map(|i| i >= first).collect())
            }
            false => self.choosing(kind, layers, ctx, window)?,
        };
        Ok(Some(Indexer {
            heads,
            dim,
            turned_from: if kind.turned_last { not_turned } else { 0 },
            eps: if kind.stream_eps { eps } else { KEY_EPS },
            most,
            ratio: 1,
            layers,
            shared: !kind.blocks && window.is_none(),
            blocks,
        }))
    }

    /// The layers that choose.
    fn choosing(
        &self,
        kind: &Indexed,
        layers: usize,
        ctx: usize,
        window: Option<&Window>,
    ) -> Result<LayerSet, EngineError> {
        let key = "attention.indexer.types";
        let chosen = match self.flags(key, layers)? {
            Some(list) => LayerSet::Listed(list),
            // From a million positions on, files of GLM 5.2 leave out what their converter knew.
            None if kind.known_types && ctx >= 1 << 20 => {
                LayerSet::Listed((0..layers).map(|i| i < 2 || i % 4 == 2).collect())
            }
            None if window.is_some() => return self.missing(key),
            None => LayerSet::All,
        };
        match window {
            None if !chosen.has(0) => self.bad(key, "the first layer has no choice to take from another"),
            None => Ok(chosen),
            // Where some layers have a window, the others choose, each for itself.
            Some(window) => match (0..layers).find(|i| chosen.has(*i) == window.layers.has(*i)) {
                Some(i) => self.bad(key, format!("layer {i} has a window and an indexer, or neither")),
                None => Ok(chosen),
            },
        }
    }

    fn blocks(&self, best: usize, heads: usize, kv_heads: usize) -> Result<Blocks, EngineError> {
        if heads != kv_heads {
            let reason = format!("{heads} heads that choose for {kv_heads} key/value heads");
            return self.bad("attention.indexer.head_count", reason);
        }
        let (size, key) = (self.need("attention.indexer.block_size")?, "attention.indexer.local_blocks");
        let last = self.size_or_none(key)?.unwrap_or(0);
        if last > best {
            return self.bad(key, format!("{last} of {best} blocks"));
        }
        Ok(Blocks { size, best, last })
    }
}
