//! The weights of attention to pooled positions.

use super::load::{Loader, need};
use super::matrix::{MatrixRef, Stack};
use super::{Linear, Norm};
use crate::arch::NormKind;
use crate::config;
use crate::error::EngineError;

/// Attention whose one key for all heads is the value, too.
#[derive(Clone, Debug)]
pub(crate) struct Pooled {
    /// The stream to compressed queries, `[q_rank, dim]`.
    pub q_a: MatrixRef,
    pub q_a_norm: Norm,
    /// To the heads' queries, `[heads * k_dim, q_rank]`.
    pub q_b: MatrixRef,
    /// Of each head's query; its weights are ones.
    pub q_norm: Norm,
    /// The stream to the key, `[k_dim, dim]`.
    pub k: MatrixRef,
    pub k_norm: Norm,
    /// What each head's softmax counts besides the positions, `[heads]`.
    pub sinks: Vec<f32>,
    /// What makes entries, in layers that have some.
    pub pool: Option<Pool>,
    /// What chooses among them, in layers that do.
    pub indexer: Option<EntryIndexer>,
    /// For each group of heads, what they give to fewer channels, `[out_rank, heads / groups * k_dim]`.
    pub o_a: Stack,
    /// Back to the stream, `[dim, groups * out_rank]`.
    pub o: Linear,
}

/// What makes entries that stand for several positions.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    /// The stream to values, `[width, dim]`; see [`config::ModelConfig::pooled_width`].
    pub values: MatrixRef,
    /// The stream to scores, likewise.
    pub scores: MatrixRef,
    /// Added to the scores of the positions of an entry, `[ratio, width]`.
    pub places: Vec<f32>,
    /// Of the entry, which is then turned; where there is none, it stays as it is.
    pub norm: Option<Norm>,
}

/// What gives entries scores.
#[derive(Clone, Debug)]
pub(crate) struct EntryIndexer {
    /// Compressed queries to the heads', `[heads * dim, q_rank]`.
    pub q: MatrixRef,
    /// How much each head counts, `[heads, stream]`.
    pub shares: MatrixRef,
    /// What makes the keys.
    pub pool: Pool,
}

impl Pooled {
    /// What makes each kind of entry: what is attended to, and what the indexer compares.
    pub fn pools(&self) -> impl Iterator<Item = &Pool> {
        self.pool.iter().chain(self.indexer.iter().map(|x| &x.pool))
    }

    /// The matrices that are read first.
    pub fn first(&self) -> Vec<&MatrixRef> {
        vec![&self.q_a, &self.k]
    }
}

impl Loader<'_> {
    pub(super) fn pooled(
        &mut self,
        i: usize,
        p: &config::Pooling,
        name: &dyn Fn(&str) -> String,
    ) -> Result<Pooled, EngineError> {
        let c = self.config;
        let (dim, q_width) = (c.dim, c.heads * c.k_dim);
        let of_layer = |l: &mut Self, part: &str, rows: usize, cols: usize| {
            let name = name(&format!("{part}.weight"));
            need(l.matrix(&name, rows, cols)?, &name)
        };
        let sinks = name("attn_sinks.weight");
        let pools = match p.ratio(i) {
            Some(ratio) => Some(self.pool("attn_compressor", [ratio, c.pooled_width(i, c.k_dim), c.k_dim], name)?),
            None => None,
        };
        let indexer = match (c.indexer.as_ref().filter(|x| x.layers.has(i)), p.ratio(i)) {
            (Some(x), Some(ratio)) => Some(EntryIndexer {
                q: of_layer(self, "indexer.attn_q_b", x.heads * x.dim, p.q_rank)?,
                shares: of_layer(self, "indexer.proj", x.heads, dim)?,
                pool: self.pool("indexer_compressor", [ratio, c.pooled_width(i, x.dim), x.dim], name)?,
            }),
            _ => None,
        };
        Ok(Pooled {
            q_a: of_layer(self, "attn_q_a", p.q_rank, dim)?,
            q_a_norm: self.norm(&name("attn_q_a_norm"), p.q_rank, NormKind::Rms)?,
            q_b: of_layer(self, "attn_q_b", q_width, p.q_rank)?,
            q_norm: Norm { kind: NormKind::Rms, w: vec![1.0; c.k_dim], bias: None },
            k: of_layer(self, "attn_kv", c.k_dim, dim)?,
            k_norm: self.norm(&name("attn_kv_a_norm"), c.k_dim, NormKind::Rms)?,
            sinks: need(self.numbers(&sinks, &[c.heads])?, &sinks)?,
            pool: pools,
            indexer,
            o_a: self.flat_stack(&name("attn_output_a.weight"), p.groups, p.out_rank, q_width / p.groups)?,
            o: Linear { w: of_layer(self, "attn_output_b", dim, p.groups * p.out_rank)?, bias: None },
        })
    }

    fn pool(
        &mut self,
        part: &str,
        [ratio, width, dim]: [usize; 3],
        name: &dyn Fn(&str) -> String,
    ) -> Result<Pool, EngineError> {
        let stream = self.config.dim;
        let of = |what: &str| name(&format!("{part}_{what}.weight"));
        let (values, scores, places) = (of("kv"), of("gate"), of("ape"));
        Ok(Pool {
            values: need(self.matrix(&values, width, stream)?, &values)?,
            scores: need(self.matrix(&scores, width, stream)?, &scores)?,
            places: need(self.numbers(&places, &[width, ratio])?, &places)?,
            norm: Some(self.norm(&name(&format!("{part}_norm")), dim, NormKind::Rms)?),
        })
    }
}
