//! Sizes that may differ from layer to layer.

use super::heads::Heads;
use super::reader::{MAX, Reader};
use super::{ModelConfig, Window};
use crate::arch::{Recurrence, Wkv};
use crate::error::EngineError;

/// What layers differ in, where the architecture lets them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Varied {
    /// Query heads of each layer; empty where all have as many.
    pub heads: Vec<usize>,
    /// Key/value heads of each layer; empty where all have as many.
    pub kv_heads: Vec<usize>,
    /// Feed-forward channels of each layer; empty where all have as many.
    pub ff: Vec<usize>,
    /// Channels of a key and of a value head in layers with a window, where they have their own.
    pub window_dims: Option<[usize; 2]>,
    /// Last layers without keys and values of their own; see [`ModelConfig::cache_of`].
    pub shared_kv: usize,
}

/// The sizes of one layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerSizes {
    /// Query heads.
    pub heads: usize,
    /// Key/value heads; divides `heads`.
    pub kv_heads: usize,
    /// Channels of a query or key head, as the cache holds them.
    pub k_dim: usize,
    /// Channels of a value head likewise.
    pub v_dim: usize,
    /// Channels of the feed-forward part without experts.
    pub ff: usize,
}

impl LayerSizes {
    /// Channels of all query heads together.
    pub fn q_width(&self) -> usize {
        self.heads * self.k_dim
    }

    /// Channels of all keys of a position.
    pub fn k_width(&self) -> usize {
        self.kv_heads * self.k_dim
    }

    /// Channels of all values of a position.
    pub fn v_width(&self) -> usize {
        self.kv_heads * self.v_dim
    }

    /// Channels of all attention outputs together.
    pub fn att_width(&self) -> usize {
        self.heads * self.v_dim
    }
}

impl ModelConfig {
    /// The sizes of layer `i`. A layer that reads another's cache has as many key/value heads as that one.
    pub fn layer(&self, i: usize) -> LayerSizes {
        let own = self.varied.window_dims.filter(|_| self.window_of(i).is_some());
        let [k_dim, v_dim] = own.unwrap_or([self.k_dim, self.v_dim]);
        let listed = |list: &[usize], i: usize, all: usize| list.get(i).copied().unwrap_or(all);
        LayerSizes {
            heads: listed(&self.varied.heads, i, self.heads),
            kv_heads: listed(&self.varied.kv_heads, self.cache_of(i), self.kv_heads),
            k_dim,
            v_dim,
            ff: listed(&self.varied.ff, i, self.ff),
        }
    }

    /// The most that any layer has of something.
    pub fn widest(&self, of: impl Fn(&LayerSizes) -> usize) -> usize {
        let alike = self.varied == Varied::default();
        let layers = if alike { 0..1 } else { 0..self.layers };
        layers.map(|i| of(&self.layer(i))).max().unwrap_or(0)
    }

    /// Layers that do not read another's keys and values: the first ones. Those with a running state have none at all.
    pub fn caches(&self) -> usize {
        self.layers - self.varied.shared_kv
    }

    /// The layer whose keys and values layer `i` reads: its own, or those of the last layer that has some and likewise a
    /// window or none.
    pub fn cache_of(&self, i: usize) -> usize {
        let windowed = |i| self.window_of(i).is_some();
        match i < self.caches() {
            true => i,
            // There is one: it was checked.
            false => (0..self.caches()).rfind(|j| windowed(*j) == windowed(i)).unwrap_or(0),
        }
    }

    /// Whether a tensor of this name is never read though the file may have it: the projections to keys and values, and
    /// their norm, of a layer that reads another's cache.
    pub fn is_spare(&self, tensor: &str) -> bool {
        let part = || tensor.strip_prefix("blk.")?.split_once('.');
        // The first layer has no earlier values to go back to; converters fill the gap.
        if tensor.starts_with("blk.0.time_mix_v") && matches!(self.arch.recurrence, Some(Recurrence::Wkv(Wkv::Seventh)))
        {
            let rest = &tensor["blk.0.time_mix_v".len()..];
            return matches!(rest, "0.weight" | "1.weight" | "2.weight");
        }
        // The choice of experts for tokens of an image.
        if self.arch.hashed_experts && part().is_some_and(|(_, part)| part == "exp_probs_b_vl.bias") {
            return true;
        }
        let kv = |part| matches!(part, "attn_k.weight" | "attn_v.weight" | "attn_k_norm.weight");
        part().is_some_and(|(i, part)| {
            kv(part) && i.parse().is_ok_and(|i: usize| (self.caches()..self.layers).contains(&i))
        })
    }
}

impl Reader<'_> {
    /// What the layers differ in; `h` has the most that one has, `layers` are all layers of the file.
    pub(super) fn varied(&self, h: &Heads, layers: usize, window: &Option<Window>) -> Result<Varied, EngineError> {
        let [own, kv_heads] = ["attention.head_count", "attention.head_count_kv"].map(|key| self.listed(key, layers));
        let (own, kv_heads, heads) = (own?, kv_heads?, h.q);
        let of = |list: &[usize], i: usize, all: usize| list.get(i).copied().unwrap_or(all);
        let pairs = (0..layers).map(|i| (of(&own, i, heads), of(&kv_heads, i, h.kv)));
        if let Some((q, kv)) = pairs.into_iter().find(|(q, kv)| !q.is_multiple_of(*kv)) {
            return self.bad("attention.head_count_kv", format!("{kv} does not divide the {q} query heads"));
        }
        let k = self.size("attention.key_length_swa")?.filter(|_| window.is_some());
        let v = self.size("attention.value_length_swa")?.filter(|_| window.is_some());
        let window_dims = match (k, v) {
            (Some(k), v) => Some([k, v.unwrap_or(k)]),
            (None, Some(_)) => return self.missing("attention.key_length_swa"),
            (None, None) => None,
        };
        if window_dims.is_some_and(|[k, v]| heads.saturating_mul(k.max(v)) > MAX) {
            return self.bad("attention.key_length_swa", "heads times channels is out of any bounds");
        }
        let ff = self.listed("feed_forward_length", layers)?;
        let shared_kv = self.size_or_none("attention.shared_kv_layers")?.unwrap_or(0);
        Ok(Varied { heads: own, kv_heads, ff, window_dims, shared_kv })
    }

    /// Refuses layers that read a cache which no layer has.
    pub(super) fn check_caches(&self, c: &ModelConfig) -> Result<(), EngineError> {
        let (key, shared) = ("attention.shared_kv_layers", c.varied.shared_kv);
        if shared >= c.layers {
            return self.bad(key, format!("{shared} of {} layers", c.layers));
        }
        let windowed = |i| c.window_of(i).is_some();
        let held = [false, true].map(|kind| (0..c.caches()).any(|i| windowed(i) == kind));
        match (c.caches()..c.layers).find(|i| !held[usize::from(windowed(*i))]) {
            Some(i) => self.bad(key, format!("no layer of the kind of layer {i} has keys and values of its own")),
            None => Ok(()),
        }
    }
}
