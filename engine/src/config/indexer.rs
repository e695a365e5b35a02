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
    /// Positions that a query attends to at most.
    pub most: usize,
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

impl Reader<'_> {
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
        let (heads, key) = (self.need("attention.indexer.head_count")?, "attention.indexer.key_length");
        let dim = self.need(key)?;
        if heads.saturating_mul(dim) > MAX {
            return self.bad(key, "heads times channels is out of any bounds");
        }
        let Some(not_turned) = dim.checked_sub(h.rope_dim) else {
            return self.bad(key, format!("{dim} channels, of which {} are turned", h.rope_dim));
        };
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
