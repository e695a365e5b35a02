//! The weights of latent attention.

use super::load::{Loader, need};
use super::matrix::{MatrixRef, Stack};
use super::{Indexer, Linear, Norm};
use crate::arch::{HeadGates, NormKind, Sinks};
use crate::config;
use crate::error::EngineError;

/// Multi-head latent attention: all heads share one compressed key/value per position.
#[derive(Clone, Debug)]
pub(crate) struct Latent {
    /// The stream to compressed queries `[q_rank, dim]` and their norm, where queries are compressed.
    pub q_a: Option<(MatrixRef, Norm)>,
    /// To the heads' queries, `[heads * (nope + rope), q_rank or dim]`.
    pub q_b: MatrixRef,
    /// The stream to the latent and the turned part of the key, `[kv_rank + rope, dim]`.
    pub kv_a: MatrixRef,
    pub kv_norm: Norm,
    /// Of the turned part of the key, where there is one.
    pub k_norm: Option<Norm>,
    pub heads: LatentHeads,
    /// What chooses the positions that queries attend to, where the layer does.
    pub indexer: Option<Indexer>,
    /// What each head's softmax counts besides the positions, `[heads]`.
    pub sinks: Option<Vec<f32>>,
    /// What gates the heads' outputs, `[heads, dim]` or `[heads * v_dim, dim]`.
    pub gate: Option<MatrixRef>,
    /// Back to the stream, `[dim, heads * v_dim]`.
    pub o: Linear,
}

/// What lies between the latent and the heads.
#[derive(Clone, Debug)]
pub(crate) enum LatentHeads {
    /// Heads attend to the latent itself.
    Absorbed {
        /// For each head, a query's unturned channels to the latent's, `[kv_rank, nope]`.
        k_b: Stack,
        /// For each head, the latent to the head's values, `[v_dim, kv_rank]`.
        v_b: Stack,
    },
    /// The latent to each head's unturned key and its value, `[heads * (nope + v_dim), kv_rank]`.
    Expanded(MatrixRef),
}

impl Latent {
    /// The matrices that the layer's input is multiplied with: for queries, for the latent, and for gates.
    pub fn first(&self) -> Vec<&MatrixRef> {
        let queries = self.q_a.as_ref().map_or(&self.q_b, |(a, _)| a);
        [queries, &self.kv_a].into_iter().chain(&self.gate).collect()
    }
}

impl Loader<'_> {
    pub(super) fn latent(
        &mut self,
        i: usize,
        l: &config::Latent,
        heads: usize,
        name: &dyn Fn(&str) -> String,
    ) -> Result<Latent, EngineError> {
        let c = self.config;
        let q_rows = heads * (l.nope + c.rope.dim);
        let matrix = |l: &mut Self, part: &str, rows: usize, cols: usize| {
            let name = name(&format!("{part}.weight"));
            need(l.matrix(&name, rows, cols)?, &name)
        };
        let (q_a, q_b) = match l.q_rank {
            Some(rank) => {
                let a = matrix(self, "attn_q_a", rank, c.dim)?;
                let norm = self.norm(&name("attn_q_a_norm"), rank, NormKind::Rms)?;
                (Some((a, norm)), matrix(self, "attn_q_b", q_rows, rank)?)
            }
            None => (None, matrix(self, "attn_q", q_rows, c.dim)?),
        };
        let indexer = match (c.indexer.as_ref().filter(|x| x.layers.has(i)), l.q_rank) {
            (Some(x), Some(rank)) => Some(self.bare(|l| l.indexer(x, rank, name))?),
            _ => None,
        };
        Ok(Latent {
            indexer,
            q_a,
            q_b,
            kv_a: matrix(self, "attn_kv_a_mqa", l.kv_rank + c.rope.dim, c.dim)?,
            kv_norm: self.norm(&name("attn_kv_a_norm"), l.kv_rank, NormKind::Rms)?,
            k_norm: match c.arch.latent_key_norm {
                true => Some(self.norm(&name("attn_k_norm"), c.rope.dim, NormKind::Rms)?),
                false => None,
            },
            heads: match l.expanded {
                true => LatentHeads::Expanded(matrix(self, "attn_kv_b", heads * (l.nope + l.v_dim), l.kv_rank)?),
                false => LatentHeads::Absorbed {
                    k_b: self.bare(|o| o.stack(&name("attn_k_b.weight"), heads, l.kv_rank, l.nope))?,
                    v_b: self.bare(|o| o.stack(&name("attn_v_b.weight"), heads, l.v_dim, l.kv_rank))?,
                },
            },
            sinks: match c.arch.sinks {
                Sinks::None => None,
                Sinks::IfThere => self.numbers(&name("attn_sinks.weight"), &[heads])?,
                Sinks::Always => {
                    let sinks = name("attn_sinks.weight");
                    Some(need(self.numbers(&sinks, &[heads])?, &sinks)?)
                }
            },
            gate: match c.arch.gated_heads {
                HeadGates::OneEach => Some(matrix(self, "attn_gate", heads, c.dim)?),
                HeadGates::Apart => Some(matrix(self, "attn_gate", heads * l.v_dim, c.dim)?),
                _ => None,
            },
            o: self.linear(&name("attn_output"), c.dim, heads * l.v_dim, false)?,
        })
    }
}
