//! The weights of an indexer.

use super::load::{Loader, need};
use super::matrix::MatrixRef;
use super::{Norm, Pool};
use crate::arch::NormKind;
use crate::config;
use crate::error::EngineError;

/// What gives positions scores.
#[derive(Clone, Debug)]
pub(crate) struct Indexer {
    /// Compressed queries to the heads', `[heads * dim, q_rank]`; where blocks are chosen, the stream to them,
    /// `[heads * dim, stream]`.
    pub q: MatrixRef,
    /// Of each head's, where there is one.
    pub q_norm: Option<Norm>,
    /// The stream to a key, `[dim, stream]`.
    pub k: MatrixRef,
    /// Of the key.
    pub k_norm: Norm,
    /// How much each head counts, `[heads, stream]`, where they choose together.
    pub shares: Option<MatrixRef>,
    /// What makes keys that each stand for several positions, of those that `k` gives, where they do.
    pub pool: Option<Pool>,
}

impl Indexer {
    /// The matrices that the layer's input is multiplied with, besides that of queries without compression.
    pub fn first(&self) -> impl Iterator<Item = &MatrixRef> {
        [&self.k].into_iter().chain(&self.shares).chain(self.pool.as_ref().map(|pool| &pool.scores))
    }
}

impl Loader<'_> {
    pub(super) fn indexer(
        &mut self,
        x: &config::Indexer,
        q_rank: usize,
        name: &dyn Fn(&str) -> String,
    ) -> Result<Indexer, EngineError> {
        let dim = self.config.dim;
        let matrix = |l: &mut Self, part: &str, rows, cols| need(l.matrix(&name(part), rows, cols)?, &name(part));
        let k = matrix(self, "indexer.attn_k.weight", x.dim, dim)?;
        let places = name("indexer_compressor_ape.weight");
        let pool = match x.ratio {
            1 => None,
            ratio => {
                let scores = matrix(self, "indexer_compressor_gate.weight", x.dim, dim)?;
                let places = need(self.numbers(&places, &[x.dim, ratio])?, &places)?;
                Some(Pool { values: k.clone(), scores, places, norm: None })
            }
        };
        Ok(Indexer {
            pool,
            q: matrix(self, "indexer.attn_q_b.weight", x.heads * x.dim, q_rank)?,
            q_norm: None,
            k,
            shares: Some(matrix(self, "indexer.proj.weight", x.heads, dim)?),
            k_norm: self.norm(&name("indexer.k_norm"), x.dim, NormKind::Layer)?,
        })
    }

    /// One that chooses blocks.
    pub(super) fn block_indexer(
        &mut self,
        x: &config::Indexer,
        name: &dyn Fn(&str) -> String,
    ) -> Result<Indexer, EngineError> {
        let dim = self.config.dim;
        let mut matrix = |part: &str, rows| need(self.matrix(&name(part), rows, dim)?, &name(part));
        Ok(Indexer {
            q: matrix("indexer.q_proj.weight", x.heads * x.dim)?,
            k: matrix("indexer.k_proj.weight", x.dim)?,
            shares: None,
            pool: None,
            q_norm: Some(self.norm(&name("indexer.q_norm"), x.dim, NormKind::Rms)?),
            k_norm: self.norm(&name("indexer.k_norm"), x.dim, NormKind::Rms)?,
        })
    }
}
