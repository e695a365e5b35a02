//! The weights of RWKV's layers.

use super::load::{Loader, need};
use super::matrix::{MatrixRef, Stack};
use super::{Gated, Linear, Norm};
use crate::arch::{NormKind, Wkv as Kind};
use crate::config;
use crate::error::EngineError;

/// Time mixing: what a layer has in the place of attention.
#[derive(Clone, Debug)]
pub(crate) struct Wkv {
    pub mixing: Mixing,
    /// What asks the matrices, `[width, dim]`.
    pub asks: Linear,
    /// `[kv_heads * head_dim, dim]` each.
    pub keys: Linear,
    pub values: Linear,
    pub decay: LowRank,
    pub then: Then,
    /// Of each head's output, where it is normed, `[heads, head_dim]`.
    pub norm: Option<Norm>,
    /// Back to the stream, `[dim, width]`.
    pub o: Linear,
}

/// How much of the difference to the row before comes into what each of the products reads.
#[derive(Clone, Debug)]
pub(crate) struct Mixing {
    /// `[products, dim]`
    pub shares: Vec<f32>,
    /// What more of it depends on the row, where it does.
    pub learnt: Option<Learnt>,
}

/// `shares + back_j(tanh(into(h + share * difference))_j)`
#[derive(Clone, Debug)]
pub(crate) struct Learnt {
    /// `[dim]`
    pub share: Vec<f32>,
    /// `[5 * rank, dim]`
    pub into: MatrixRef,
    /// Five times `[dim, rank]`.
    pub back: Stack,
    pub rank: usize,
}

/// `back(into x) + base`, with something in between.
#[derive(Clone, Debug)]
pub(crate) struct LowRank {
    /// `[rank, dim]`
    pub into: MatrixRef,
    /// `[width, rank]`
    pub back: MatrixRef,
    /// `[width]`
    pub base: Vec<f32>,
}

/// What the versions differ in.
#[derive(Clone, Debug)]
pub(crate) enum Then {
    /// The sixth, and its kin with linear attention.
    Sixth {
        /// `[width, dim]`
        gate: MatrixRef,
        /// How much a key counts for its own row, `[heads, head_dim]`; without it linear attention.
        first: Option<Vec<f32>>,
    },
    Seventh(Box<Seventh>),
}

/// What the seventh has besides.
#[derive(Clone, Debug)]
pub(crate) struct Seventh {
    /// How fast the matrices learn.
    pub rate: LowRank,
    /// How much of the first layer's values comes into those of this one, which is not the first.
    pub residual: Option<LowRank>,
    /// What gates the output; its base is zero.
    pub gate: Option<LowRank>,
    /// Of the keys at which the matrices are corrected, `[width]`.
    pub corrected: Vec<f32>,
    /// How much the rate counts for keys, `[width]`.
    pub rated: Vec<f32>,
    /// How much a key counts for its own row, `[width]`.
    pub own: Vec<f32>,
}

/// Channel mixing: a feed-forward part that reads the row before, too.
#[derive(Clone, Debug)]
pub(crate) struct ChannelMix {
    /// How much of the difference to the row before comes into what the part reads, `[dim]`.
    pub share: Vec<f32>,
    /// The same of what gates its output, and `[dim, dim]`.
    pub gate: Option<(Vec<f32>, MatrixRef)>,
    pub part: Gated,
}

impl Loader<'_> {
    pub(super) fn wkv(&mut self, i: usize, w: &config::Wkv, name: &dyn Fn(&str) -> String) -> Result<Wkv, EngineError> {
        let (dim, width, kv_width) = (self.config.dim, w.shape.width(), w.kv_heads * w.shape.dim);
        let heads = [w.shape.dim, w.shape.heads];
        let seventh = w.kind == Kind::Seventh;
        let products = match seventh {
            false => 5,
            true => 5 + usize::from(self.has(&name("time_mix_g1.weight"))),
        };
        let learnt = match seventh {
            true => None,
            false => Some(Learnt {
                share: self.vector(&name("time_mix_lerp_x.weight"), &[dim])?,
                into: self.needed(&name("time_mix_w1.weight"), 5 * w.rank, dim)?,
                back: self.stack(&name("time_mix_w2.weight"), 5, dim, w.rank)?,
                rank: w.rank,
            }),
        };
        let norm = match w.kind != Kind::Linear && (!seventh || self.has(&name("time_mix_ln.weight"))) {
            true => Some(self.norm(&name("time_mix_ln"), width, NormKind::Layer)?),
            false => None,
        };
        Ok(Wkv {
            mixing: Mixing { shares: self.mix_shares(products, name)?, learnt },
            asks: self.linear(&name("time_mix_receptance"), width, dim, false)?,
            keys: self.linear(&name("time_mix_key"), kv_width, dim, false)?,
            values: self.linear(&name("time_mix_value"), kv_width, dim, false)?,
            decay: match seventh {
                true => self.low_rank("time_mix_w", w.decay_rank, width, name)?,
                false => LowRank {
                    into: self.needed(&name("time_mix_decay_w1.weight"), w.decay_rank, dim)?,
                    back: self.needed(&name("time_mix_decay_w2.weight"), width, w.decay_rank)?,
                    base: self.vector(&name("time_mix_decay.weight"), &[width])?,
                },
            },
            then: match w.kind {
                Kind::Sixth | Kind::Linear => Then::Sixth {
                    gate: self.needed(&name("time_mix_gate.weight"), width, dim)?,
                    first: match w.kind {
                        Kind::Sixth => Some(self.vector(&name("time_mix_first.weight"), &heads)?),
                        _ => None,
                    },
                },
                Kind::Seventh => Then::Seventh(Box::new(Seventh {
                    rate: self.low_rank("time_mix_a", w.rate_rank, width, name)?,
                    residual: match i {
                        0 => None,
                        _ => Some(self.low_rank("time_mix_v", w.residual_rank, width, name)?),
                    },
                    gate: match products {
                        5 => None,
                        _ => Some(LowRank {
                            into: self.needed(&name("time_mix_g1.weight"), w.gate_rank, dim)?,
                            back: self.needed(&name("time_mix_g2.weight"), width, w.gate_rank)?,
                            base: Vec::new(),
                        }),
                    },
                    corrected: self.vector(&name("time_mix_k_k.weight"), &[width])?,
                    rated: self.vector(&name("time_mix_k_a.weight"), &[width])?,
                    own: self.vector(&name("time_mix_r_k.weight"), &[width])?,
                })),
            },
            norm,
            o: self.linear(&name("time_mix_output"), dim, width, false)?,
        })
    }

    pub(super) fn channel_mix(&mut self, ff: usize, name: &dyn Fn(&str) -> String) -> Result<ChannelMix, EngineError> {
        let dim = self.config.dim;
        Ok(ChannelMix {
            share: self.vector(&name("channel_mix_lerp_k.weight"), &[dim])?,
            gate: match self.has(&name("channel_mix_receptance.weight")) {
                true => Some((
                    self.vector(&name("channel_mix_lerp_r.weight"), &[dim])?,
                    self.needed(&name("channel_mix_receptance.weight"), dim, dim)?,
                )),
                false => None,
            },
            part: Gated {
                gate: None,
                up: self.linear(&name("channel_mix_key"), ff, dim, false)?,
                before_down: None,
                down: self.linear(&name("channel_mix_value"), dim, ff, false)?,
            },
        })
    }

    /// The shares of all products, in one tensor or, as old converters wrote them, in one each.
    fn mix_shares(&mut self, products: usize, name: &dyn Fn(&str) -> String) -> Result<Vec<f32>, EngineError> {
        let (dim, all) = (self.config.dim, name("time_mix_lerp_fused.weight"));
        if self.has(&all) || products != 5 {
            return self.vector(&all, &[dim, 1, 1, products]);
        }
        let mut shares = Vec::with_capacity(products * dim);
        for part in ["w", "k", "v", "r", "g"] {
            shares.extend(self.vector(&name(&format!("time_mix_lerp_{part}.weight")), &[dim])?);
        }
        Ok(shares)
    }

    fn low_rank(
        &mut self,
        part: &str,
        rank: usize,
        width: usize,
        name: &dyn Fn(&str) -> String,
    ) -> Result<LowRank, EngineError> {
        Ok(LowRank {
            into: self.needed(&name(&format!("{part}1.weight")), rank, self.config.dim)?,
            back: self.needed(&name(&format!("{part}2.weight")), width, rank)?,
            base: self.vector(&name(&format!("{part}0.weight")), &[width])?,
        })
    }

    fn vector(&mut self, name: &str, dims: &[usize]) -> Result<Vec<f32>, EngineError> {
        need(self.numbers(name, dims)?, name)
    }

    fn needed(&mut self, name: &str, rows: usize, cols: usize) -> Result<MatrixRef, EngineError> {
        need(self.matrix(name, rows, cols)?, name)
    }
}
