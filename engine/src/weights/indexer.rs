//! The weights of an indexer.

use super::Norm;
use super::load::{Loader, need};
use super::matrix::MatrixRef;
use crate::arch::NormKind;
use crate::config;
use crate::error::EngineError;

/// What gives positions scores.
#[derive(Clone, Debug)]
pub(crate) struct Indexer {
    /// Compressed queries to the heads', `[heads * dim, q_rank]`.
    pub q: MatrixRef,
    /// The stream to a key, `[dim, stream]`.
    pub k: MatrixRef,
    /// Of the key.
    pub k_norm: Norm,
    /// How much each head counts, `[heads, stream]`.
    pub shares: MatrixRef,
}

impl Loader<'_> {
    pub(super) fn indexer(
        &mut self,
        x: &config::Indexer,
        q_rank: usize,
        name: &dyn Fn(&str) -> String,
    ) -> Result<Indexer, EngineError> {
        let dim = self.config.dim;
        let mut matrix = |part: &str, rows, cols| need(self.matrix(&name(part), rows, cols)?, &name(part));
        Ok(Indexer {
            q: matrix("indexer.attn_q_b.weight", x.heads * x.dim, q_rank)?,
            k: matrix("indexer.attn_k.weight", x.dim, dim)?,
            shares: matrix("indexer.proj.weight", x.heads, dim)?,
            k_norm: self.norm(&name("indexer.k_norm"), x.dim, NormKind::Layer)?,
        })
    }
}
