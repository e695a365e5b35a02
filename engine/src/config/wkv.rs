//! The hyperparameters of RWKV's layers.

use super::reader::{MAX, Reader};
use crate::arch::{Arch, Wkv as Kind};
use crate::error::EngineError;
use hewn_kernels::op::wkv::WkvShape;

/// The sizes of RWKV's time mixing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wkv {
    /// Which it is.
    pub kind: Kind,
    /// Of the matrices.
    pub shape: WkvShape,
    /// Heads of keys and values, each shared by neighbouring heads.
    pub kv_heads: usize,
    /// Channels between the matrices of low rank: of what products read, in the sixth.
    pub rank: usize,
    /// Of decays.
    pub decay_rank: usize,
    /// Of how fast matrices learn, in the seventh.
    pub rate_rank: usize,
    /// Of how much of the first layer's values counts, likewise.
    pub residual_rank: usize,
    /// Of the output's gate, likewise; 0 without.
    pub gate_rank: usize,
}

impl Wkv {
    /// Numbers that lie between matrices of low rank, for one row.
    pub(crate) fn inside(&self) -> usize {
        // Those of the sixth are put into another order.
        (2 * 5 * self.rank).max(self.decay_rank + self.rate_rank + self.residual_rank + self.gate_rank)
    }
}

impl Reader<'_> {
    pub(super) fn wkv(&self, arch: &Arch, kind: Kind, dim: usize) -> Result<Wkv, EngineError> {
        let key = "wkv.head_size";
        let head = self.need(key)?;
        if !dim.is_multiple_of(head) {
            return self.bad(key, format!("heads of {head} do not divide {dim} channels"));
        }
        let heads = dim / head;
        // Heads are padded to whole lanes.
        if heads.saturating_mul(head.max(16)).saturating_mul(head) > MAX {
            return self.bad(key, format!("{heads} matrices of {head} x {head} are out of any bounds"));
        }
        // One row more where the feed-forward part reads the row before, too.
        let kept = dim * if arch.channel_mix { 2 } else { 1 };
        let key = "token_shift_count";
        if let Some(n) = self.size(key)?.filter(|n| n * dim != kept) {
            return self.bad(key, format!("{n} rows before; `{}` has {}", arch.name, kept / dim));
        }
        let kv_heads = match kind {
            Kind::Linear => self.size_or_none("attention.head_count_kv")?.unwrap_or(heads),
            _ => heads,
        };
        if !heads.is_multiple_of(kv_heads) {
            return self.bad("attention.head_count_kv", format!("{kv_heads} does not divide the {heads} heads"));
        }
        let [rank, decay_rank, rate_rank, residual_rank, gate_rank] = match kind {
            Kind::Seventh => [
                0,
                self.need("attention.decay_lora_rank")?,
                self.need("attention.iclr_lora_rank")?,
                self.need("attention.value_residual_mix_lora_rank")?,
                self.size_or_none("attention.gate_lora_rank")?.unwrap_or(0),
            ],
            _ => [self.need("time_mix_extra_dim")?, self.need("time_decay_extra_dim")?, 0, 0, 0],
        };
        let w = Wkv {
            kind,
            shape: WkvShape { heads, dim: head, kept },
            kv_heads,
            rank,
            decay_rank,
            rate_rank,
            residual_rank,
            gate_rank,
        };
        let most = [rank, decay_rank, rate_rank, residual_rank, gate_rank].into_iter().max().unwrap_or(0);
        if w.inside() > MAX || dim.saturating_mul(most) > MAX << 4 {
            return self.bad("embedding_length", format!("{dim} x {most} numbers a matrix are out of any bounds"));
        }
        Ok(w)
    }
}
