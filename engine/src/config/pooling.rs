//! Attention to pooled positions (DeepSeek V4): besides its window, a layer sees entries that stand for several positions each.

use super::heads::Heads;
use super::reader::{MAX, Reader};
use super::rope::{Rope, Scaling};
use super::{Indexer, LayerSet, ModelConfig};
use crate::error::EngineError;
use hewn_kernels::state::StateShape;
use hewn_loader::Value;

/// The sizes of attention to pooled positions.
#[derive(Clone, Debug, PartialEq)]
pub struct Pooling {
    /// How many positions become an entry, layer by layer; 0 where there are none.
    ratios: Vec<usize>,
    /// Channels of a compressed query.
    pub q_rank: usize,
    /// Equal groups of heads, each with a matrix of its own.
    pub groups: usize,
    /// Channels that each group's outputs are taken to before they go back to the stream.
    pub out_rank: usize,
}

/// Positions of an entry that reads those of the one before it, too, and is chosen by an indexer.
const CHOSEN: usize = 4;
/// Positions of an entry that every query sees.
const SEEN: usize = 128;

impl Pooling {
    /// How many positions become an entry of layer `i`, where there are some.
    pub fn ratio(&self, i: usize) -> Option<usize> {
        self.ratios.get(i).copied().filter(|ratio| *ratio > 0)
    }

    /// Whether an entry of layer `i` reads the positions of the one before it, too.
    pub fn overlaps(&self, i: usize) -> bool {
        self.ratio(i) == Some(CHOSEN)
    }
}

impl ModelConfig {
    /// How many positions become an entry of layer `i`, where there are some.
    pub fn pooled_of(&self, i: usize) -> Option<usize> {
        self.pooling.as_ref()?.ratio(i)
    }

    /// How many positions become an entry or a key of an indexer in layer `i`, where there are some.
    pub(crate) fn pool_ratio(&self, i: usize) -> Option<usize> {
        let indexed = self.indexer.as_ref().filter(|x| x.ratio > 1 && x.layers.has(i));
        self.pooled_of(i).or(indexed.map(|x| x.ratio))
    }

    /// Whether an entry of layer `i` reads the positions of the one before it, too.
    pub(crate) fn pools_overlap(&self, i: usize) -> bool {
        self.pooling.as_ref().is_some_and(|p| p.overlaps(i))
    }

    /// Channels of each kind of entry of layer `i`: what is attended to, and what an indexer compares.
    pub(crate) fn entries_of(&self, i: usize) -> impl Iterator<Item = usize> {
        let indexed = self.indexer.as_ref().filter(|x| x.ratio > 1 && x.layers.has(i));
        self.pooled_of(i).map(|_| self.k_dim).into_iter().chain(indexed.map(|x| x.dim))
    }

    /// Channels that a position gives an entry of `dim` channels in layer `i`: one half for the next entry, one for its own.
    pub(crate) fn pooled_width(&self, i: usize, dim: usize) -> usize {
        if self.pools_overlap(i) { 2 * dim } else { dim }
    }

    /// What layer `i` keeps of positions that are no whole entry yet: values and scores of each kind of entry.
    pub(super) fn pool_state(&self, i: usize) -> Option<StateShape> {
        let ratio = self.pool_ratio(i)?;
        let taps = if self.pools_overlap(i) { 2 * ratio } else { ratio };
        Some(StateShape { taps, channels: self.pool_width(i), matrices: 0 })
    }

    /// Channels of those.
    pub(crate) fn pool_width(&self, i: usize) -> usize {
        self.entries_of(i).map(|dim| 2 * self.pooled_width(i, dim)).sum()
    }
}

impl Reader<'_> {
    pub(super) fn pooling(&self, heads: &Heads, layers: usize) -> Result<Pooling, EngineError> {
        let key = "attention.compress_ratios";
        let list: Option<Vec<usize>> = match self.meta.get(&self.key(key)) {
            Some(Value::Array(a)) if a.len() >= layers => {
                a.iter().take(layers).map(|v| v.as_int().and_then(|v| usize::try_from(v).ok())).collect()
            }
            _ => None,
        };
        let Some(ratios) = list else { return self.bad(key, format!("it is not a list of {layers} numbers")) };
        if let Some(n) = ratios.iter().find(|n| ![0, CHOSEN, SEEN].contains(n)) {
            return self.bad(key, format!("{n} positions an entry; 0, {CHOSEN} and {SEEN} are supported"));
        }
        if heads.kv != 1 {
            return self.bad("attention.head_count_kv", format!("{} heads of keys; 1 is supported", heads.kv));
        }
        if heads.v_dim != heads.k_dim {
            let reason = format!("{} channels, but keys, which are the values, have {}", heads.v_dim, heads.k_dim);
            return self.bad("attention.value_length", reason);
        }
        let (key, groups) = ("attention.output_group_count", self.need("attention.output_group_count")?);
        if !heads.q.is_multiple_of(groups) {
            return self.bad(key, format!("{groups} does not divide the {} query heads", heads.q));
        }
        let (key, out_rank) = ("attention.output_lora_rank", self.need("attention.output_lora_rank")?);
        if groups.saturating_mul(out_rank) > MAX {
            return self.bad(key, "groups times channels is out of any bounds");
        }
        Ok(Pooling { ratios, q_rank: self.need("attention.q_lora_rank")?, groups, out_rank })
    }

    /// Of the layers with entries and of those without: the latter's context was not stretched. Both leave lengths alone.
    pub(super) fn pooled_ropes(&self, rope: Rope) -> Result<[Rope; 2], EngineError> {
        let key = "attention.compress_rope_freq_base";
        let Some(base) = self.positive(key)? else { return self.missing(key) };
        let scaling = match rope.scaling {
            Scaling::Yarn { factor, fast, slow, mix, .. } => {
                Scaling::Yarn { factor, fast, slow, mix, all_dims: 1.0, latent: false }
            }
            other => other,
        };
        let plain = Rope { scaling: Scaling::None, magnitude: 1.0, ..rope.clone() };
        Ok([Rope { base, scaling, magnitude: 1.0, ..rope }, plain])
    }

    /// The indexer of the layers that choose among entries.
    pub(super) fn pooled_indexer(&self, p: &Pooling, layers: usize, rope_dim: usize) -> Result<Indexer, EngineError> {
        let chosen = LayerSet::Listed((0..layers).map(|i| p.overlaps(i)).collect());
        Ok(Indexer { layers: chosen, ratio: CHOSEN, ..self.indexer_sizes(rope_dim)? })
    }
}
