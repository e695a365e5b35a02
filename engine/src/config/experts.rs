//! The hyperparameters of a mixture of experts.

use super::LayerSet;
use super::reader::Reader;
use crate::arch::{Arch, Gating};
use crate::error::EngineError;
use hewn_loader::Gguf;

/// A mixture of experts: which of them a row goes to, and how wide they are.
#[derive(Clone, Debug, PartialEq)]
pub struct Experts {
    /// How many there are.
    pub count: usize,
    /// How many take each row.
    pub used: usize,
    /// Feed-forward channels of each.
    pub ff: usize,
    /// Feed-forward channels of the expert that takes every row; 0 for none.
    pub shared_ff: usize,
    /// The first layer that has them; those before are dense.
    pub first: usize,
    /// Layers that have them, of those that the next one and the one before say.
    pub routed: LayerSet,
    /// Of every so many layers, the last has them.
    pub every: usize,
    /// How scores become weights.
    pub gating: Gating,
    /// Whether the weights of the chosen ones are made to sum to 1.
    pub normalize: bool,
    /// What the weights are multiplied with.
    pub scale: f32,
    /// Equal groups of experts, of which only the best are looked at; 1 for no groups.
    pub groups: usize,
    /// How many groups are looked at.
    pub groups_used: usize,
    /// The router's scores end up within this: `cap * tanh(score / cap)`.
    pub score_cap: Option<f32>,
    /// First layers in which a token's experts are listed.
    pub hashed: usize,
    /// Smaller experts that groups of neighbours share.
    pub adjugates: Option<Adjugates>,
    /// Channels that they run on, where those are not the stream's.
    pub narrow: Option<usize>,
}

/// Experts that run beside those that a row chose, with the same weights: one for each group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adjugates {
    /// Experts of a group; divides their number.
    pub sharing: usize,
    /// Feed-forward channels of each.
    pub ff: usize,
    /// What their outputs are multiplied with besides.
    pub scale: f32,
}

/// No model has so many.
const MAX_EXPERTS: usize = 1 << 14;

impl Experts {
    /// Whether layer `i` has them.
    pub fn in_layer(&self, i: usize) -> bool {
        i >= self.first && (i + 1).is_multiple_of(self.every) && self.routed.has(i)
    }

    /// Feed-forward channels of the widest.
    pub fn widest(&self) -> usize {
        self.adjugates.map_or(0, |a| a.ff).max(self.ff)
    }

    /// Reads them where the file has some; `ff` is the width of the dense feed-forward part.
    pub(super) fn read(
        r: &Reader<'_>,
        arch: &Arch,
        ff: usize,
        gguf: &Gguf,
        layers: usize,
    ) -> Result<Option<Self>, EngineError> {
        let count = r.size_or_none("expert_count")?;
        let (count, rules) = match (count, &arch.experts) {
            (Some(n), Some(rules)) => (n, rules),
            // Some dense files say that there is one.
            (Some(1), None) => return Ok(None),
            (Some(n), None) => return r.bad("expert_count", format!("`{}` has no experts, not {n}", arch.name)),
            (None, Some(rules)) if rules.always => return r.missing("expert_count"),
            (None, rules) => {
                // Dense files of a family that has mixtures, too, say these all the same.
                for key in ["expert_used_count", "expert_shared_feed_forward_length"].iter().filter(|_| rules.is_some())
                {
                    r.key(key);
                }
                return Ok(None);
            }
        };
        if count > MAX_EXPERTS {
            return r.bad("expert_count", format!("{count} is more than {MAX_EXPERTS}"));
        }
        let step = "interleave_moe_layer_step";
        let every = r.size_or_none(step)?.unwrap_or(1);
        if let Some(n) = Some(every).filter(|n| *n != 1 && !arch.interleaved) {
            return r.bad(step, format!("experts in one layer of {n} only are not supported"));
        }
        let used = r.need("expert_used_count")?;
        if used > count {
            return r.bad("expert_used_count", format!("{used} of {count} experts"));
        }
        let own = match r.size_or_none("expert_feed_forward_length")? {
            Some(own) => own,
            None if rules.dense_width => ff,
            None => return r.missing("expert_feed_forward_length"),
        };
        let shared = r.size_or_none("expert_shared_count")?.unwrap_or(0);
        let shared_ff = match r.size_or_none("expert_shared_feed_forward_length")? {
            Some(ff) => ff,
            None if arch.dense_shared && gguf.tensor("blk.0.ffn_up.weight").is_some() => ff,
            None if shared <= MAX_EXPERTS => shared.max(usize::from(arch.one_shared)).saturating_mul(own),
            None => return r.bad("expert_shared_count", format!("{shared} is more than {MAX_EXPERTS}")),
        };
        if arch.early_choice && shared_ff > 0 {
            return r.bad("expert_shared_count", format!("`{}` has no expert that takes every row", arch.name));
        }
        if arch.experts_beside && shared_ff > 0 {
            return r.bad("expert_shared_count", format!("`{}` has a dense part instead", arch.name));
        }
        let narrow = match &arch.narrow_experts {
            Some(names) => r.size_or_none(names.key)?,
            None => None,
        };
        for key in ["moe_latent_size", "expert_latent_length"] {
            if let Some(n) = r.size_or_none(key)?.filter(|n| narrow != Some(*n)) {
                return r.bad(key, format!("experts behind a projection to {n} channels are not supported"));
            }
        }
        let groups = r.size_or_none("expert_group_count")?.unwrap_or(1);
        let groups_used = r.size_or_none("expert_group_used_count")?.unwrap_or(groups);
        if !count.is_multiple_of(groups) {
            return r.bad("expert_group_count", format!("{groups} groups do not divide {count} experts"));
        }
        if groups_used > groups || count / groups * groups_used < used {
            let reason = format!("{groups_used} of {groups} groups of {} for {used} experts", count / groups);
            return r.bad("expert_group_used_count", reason);
        }
        let gating = match r.size_or_none("expert_gating_func")? {
            None => rules.gating,
            Some(1) => Gating::Softmax,
            Some(2) => Gating::Sigmoid,
            Some(3) => Gating::SoftmaxOfChosen,
            Some(4) => Gating::SqrtSoftplus,
            Some(n) => return r.bad("expert_gating_func", format!("{n} is unknown; 1 to 4 are not")),
        };
        if arch.hashed_experts && gating != rules.gating {
            return r.bad("expert_gating_func", format!("`{}` has the root of softplus, which is 4", arch.name));
        }
        if gating == Gating::SparseMixer && groups > 1 {
            return r.bad("expert_group_count", format!("{groups}; `{}` has no groups", arch.name));
        }
        Ok(Some(Self {
            count,
            used,
            ff: own,
            shared_ff,
            first: r.size_or_none("leading_dense_block_count")?.unwrap_or(0),
            routed: match (arch.routers_tell, arch.second_of_every) {
                (true, _) => routers(gguf, layers),
                (_, true) => r.second_of_every(layers)?,
                (false, false) => LayerSet::All,
            },
            every,
            gating,
            normalize: r.flag("expert_weights_norm")?.unwrap_or(rules.normalize),
            scale: r.factor("expert_weights_scale")?.unwrap_or(1.0),
            groups,
            groups_used,
            score_cap: match arch.router_cap {
                Some(cap) => r.factor("router_logit_softcapping")?.or(Some(cap)),
                None => None,
            },
            hashed: if arch.hashed_experts { r.size_or_none("hash_layer_count")?.unwrap_or(0) } else { 0 },
            adjugates: if arch.adjugates { Some(r.adjugates(count)?) } else { None },
            narrow,
        }))
    }
}

impl Reader<'_> {
    /// The second layer of every so many; of one or none, no layer is that.
    fn second_of_every(&self, layers: usize) -> Result<LayerSet, EngineError> {
        let every = self.size_or_none("moe_every_n_layers")?.unwrap_or(1);
        Ok(LayerSet::Listed((0..layers).map(|i| i % every == 1).collect()))
    }

    fn adjugates(&self, count: usize) -> Result<Adjugates, EngineError> {
        let (key, sharing) = ("experts_per_group", self.need("experts_per_group")?);
        if !count.is_multiple_of(sharing) {
            return self.bad(key, format!("{sharing} does not divide {count} experts"));
        }
        let ff = self.need("expert_chunk_feed_forward_length")?;
        match self.factor("expert_group_scale")? {
            Some(scale) => Ok(Adjugates { sharing, ff, scale }),
            None => self.missing("expert_group_scale"),
        }
    }
}

/// The layers that have a router.
fn routers(gguf: &Gguf, layers: usize) -> LayerSet {
    LayerSet::Listed((0..layers).map(|i| gguf.tensor(&format!("blk.{i}.ffn_gate_inp.weight")).is_some()).collect())
}
