//! Numbers of heads and their channels.

use super::LayerSet;
use super::reader::{MAX, Reader};
use crate::arch::{Arch, HeadGates, Recurrence};
use crate::error::EngineError;

/// The sizes of multi-head latent attention.
#[derive(Clone, Debug, PartialEq)]
pub struct Latent {
    /// Channels of a compressed query; queries are not compressed without.
    pub q_rank: Option<usize>,
    /// Channels of the latent that all heads share.
    pub kv_rank: usize,
    /// Channels of a query head that are not turned.
    pub nope: usize,
    /// Channels of a head's output.
    pub v_dim: usize,
    /// Whether each head's keys and values are made of the latent and cached; otherwise the latent itself is.
    pub expanded: bool,
}

/// Numbers of heads and their channels.
pub(super) struct Heads {
    pub q: usize,
    pub kv: usize,
    pub k_dim: usize,
    pub v_dim: usize,
    pub rope_dim: usize,
    pub latent: Option<Latent>,
}

impl Reader<'_> {
    /// The heads, and which layers have keys and values.
    pub(super) fn heads(&self, arch: &Arch, dim: usize, layers: usize) -> Result<(Heads, LayerSet), EngineError> {
        if arch.recurrent_only {
            for key in ["attention.head_count", "attention.head_count_kv"] {
                self.key(key);
            }
            return Ok((Heads { q: 0, kv: 0, k_dim: 0, v_dim: 0, rope_dim: 0, latent: None }, LayerSet::none()));
        }
        let key = "attention.head_count";
        let q = match arch.varied {
            true => self.most(key, layers)?.map_or_else(|| self.missing(key), Ok)?,
            // 0 in the layers without.
            _ if arch.recurrence == Some(Recurrence::ToldScan) => {
                self.size_of_some(key, layers)?.0.map_or_else(|| self.missing(key), Ok)?
            }
            false => self.need(key)?,
        };
        let (h, attending) = match arch.latent {
            true => {
                let attending = match arch.recurrence {
                    Some(Recurrence::ChannelDelta) => self.size_of_some("attention.head_count_kv", layers)?.1,
                    _ => LayerSet::All,
                };
                (self.latent_heads(q, dim, arch.unturned)?, attending)
            }
            false => {
                let key = "attention.head_count_kv";
                let (kv, attending) = match arch.recurrence {
                    Some(
                        Recurrence::Scan(_)
                        | Recurrence::Selective { .. }
                        | Recurrence::ShortConvolution
                        | Recurrence::ToldScan,
                    ) => self.size_of_some(key, layers)?,
                    _ if arch.varied => (self.most(key, layers)?, LayerSet::All),
                    _ => (self.size(key)?, LayerSet::All),
                };
                (self.grouped_heads(arch, [q, kv.unwrap_or(q)], dim)?, attending)
            }
        };
        Ok((h, attending))
    }

    pub(super) fn check_heads(&self, h: &Heads) -> Result<(), EngineError> {
        if h.rope_dim > h.k_dim || !h.rope_dim.is_multiple_of(2) {
            return self.bad("rope.dimension_count", format!("{} is not an even number up to {}", h.rope_dim, h.k_dim));
        }
        if h.q.max(h.kv).saturating_mul(h.k_dim.max(h.v_dim)) > MAX {
            return self.bad("attention.head_count", "heads times channels is out of any bounds");
        }
        Ok(())
    }

    pub(super) fn grouped_heads(&self, arch: &Arch, [q, kv]: [usize; 2], dim: usize) -> Result<Heads, EngineError> {
        // Where layers differ, each is checked by itself.
        if !arch.varied && !q.is_multiple_of(kv) {
            return self.bad("attention.head_count_kv", format!("{kv} does not divide the {q} query heads"));
        }
        let k_dim = match self.size("attention.key_length")? {
            Some(k) => k,
            None if dim.is_multiple_of(q) => dim / q,
            None => return self.bad("attention.head_count", format!("{q} heads do not divide {dim} channels")),
        };
        let v_dim = self.size("attention.value_length")?.unwrap_or(k_dim);
        if arch.gated_heads == HeadGates::WithQueries && v_dim != k_dim {
            return self.bad("attention.value_length", format!("{v_dim} channels, but gates have {k_dim}"));
        }
        let said = self.size("rope.dimension_count")?.unwrap_or(k_dim);
        let rope_dim = if arch.half_turned { said / 2 } else { said };
        Ok(Heads { q, kv, k_dim, v_dim, rope_dim, latent: None })
    }

    /// The sizes in layers with a window, where those have their own; a position's cache is as wide as `window_dims` say.
    pub(super) fn window_latent(
        &self,
        full: &Latent,
        h: &Heads,
        window_dims: Option<[usize; 2]>,
    ) -> Result<Latent, EngineError> {
        let (kv_rank, key_name) = (self.need("attention.kv_lora_rank_swa")?, "attention.key_length_mla_swa");
        let (key, v_dim) = (self.need(key_name)?, self.need("attention.value_length_mla_swa")?);
        let Some(nope) = key.checked_sub(h.rope_dim).filter(|n| *n > 0) else {
            return self.bad(key_name, format!("{key} is not more than the {} turned channels", h.rope_dim));
        };
        if h.q.saturating_mul(key.max(v_dim)) > MAX {
            return self.bad(key_name, "heads times channels is out of any bounds");
        }
        if window_dims != Some([kv_rank + h.rope_dim, kv_rank]) {
            let reason = format!("a latent of {kv_rank} channels and {} turned ones is another width", h.rope_dim);
            return self.bad("attention.key_length_swa", reason);
        }
        if full.expanded {
            return self.missing("attention.key_length_mla");
        }
        Ok(Latent { kv_rank, nope, v_dim, ..full.clone() })
    }

    /// The cache holds one head for all: the latent and the turned part of the key, and the latent again as the value. Files
    /// that do not say the sizes of heads before they are taken to the latent have no matrices to take them there.
    fn latent_heads(&self, q: usize, dim: usize, unturned: bool) -> Result<Heads, EngineError> {
        let (kv_rank, key) = (self.need("attention.kv_lora_rank")?, "rope.dimension_count");
        let rope_dim = match unturned {
            true => self.size_or_none(key)?.unwrap_or(0),
            false => self.need(key)?,
        };
        let expanded = !self.meta.contains(&self.key("attention.key_length_mla"));
        let key_name = if expanded { "attention.key_length" } else { "attention.key_length_mla" };
        let key = self.need(key_name)?;
        let v_dim = match expanded {
            false => self.need("attention.value_length_mla")?,
            true => match self.size("attention.value_length")? {
                Some(v_dim) => v_dim,
                None if dim.is_multiple_of(q) => dim / q,
                None => return self.missing("attention.value_length"),
            },
        };
        let Some(nope) = key.checked_sub(rope_dim).filter(|n| *n > 0) else {
            return self.bad(key_name, format!("{key} is not more than the {rope_dim} turned channels"));
        };
        if q.saturating_mul(key.max(v_dim)) > MAX {
            return self.bad("attention.head_count", "heads times channels is out of any bounds");
        }
        // These say what follows from the others.
        for key in ["attention.head_count_kv", "attention.key_length", "attention.value_length"] {
            self.key(key);
        }
        let q_rank = self.size_or_none("attention.q_lora_rank")?;
        let latent = Some(Latent { q_rank, kv_rank, nope, v_dim, expanded });
        Ok(match expanded {
            true => Heads { q, kv: q, k_dim: key, v_dim, rope_dim, latent },
            false => Heads { q, kv: 1, k_dim: kv_rank + rope_dim, v_dim: kv_rank, rope_dim, latent },
        })
    }
}
