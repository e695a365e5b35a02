//! The weights of low-rank adapters: `scale * B (A x)` is added to a matrix's product.

use super::FeedForward;
use super::layer::{AttentionWeights, LayerWeights};
use super::load::Loader;
use super::matrix::{MatrixRef, Stack};
use crate::config;
use crate::error::EngineError;

/// What is added to a product, of one matrix or of those of a stack.
#[derive(Clone, Debug)]
pub(crate) struct LowRank {
    /// `[rank, ins]` each.
    pub a: Stack,
    /// `[outs, rank]` each.
    pub b: Stack,
    pub scale: f32,
    /// Whether tokens tell which rows have which of them, the first of which does nothing; otherwise all rows have that of the
    /// matrix.
    pub switched: bool,
}

impl LowRank {
    /// What is added to the products of so many rows of each matrix.
    pub fn part(&self, first: usize, rows: usize) -> Self {
        Self { a: self.a.clone(), b: self.b.part(first, rows), ..*self }
    }
}

impl Loader<'_> {
    /// Reads the adapters of a layer's projections that tokens switch on.
    pub(super) fn switched(
        &mut self,
        adapters: &config::Adapters,
        layer: &mut LayerWeights,
        name: &dyn Fn(&str) -> String,
    ) -> Result<(), EngineError> {
        let count = adapters.count + 1;
        let mut stack = |name: String, rows: usize, cols: usize| {
            let stack = self.stack(&name, count, rows, cols)?;
            match stack.is_quant() {
                true => Err(EngineError::Config { key: name, reason: "adapters in blocks are not supported".into() }),
                false => Ok(stack),
            }
        };
        let mut widest = 0;
        let mut adapt = |part: &str, w: &mut MatrixRef| {
            widest = widest.max(adapters.rank + w.rows);
            let a = stack(name(&format!("{part}.lora_a")), adapters.rank, w.cols)?;
            let b = stack(name(&format!("{part}.lora_b")), w.rows, adapters.rank)?;
            w.low.push(LowRank { a, b, scale: 1.0, switched: true });
            Ok::<_, EngineError>(())
        };
        if let Some(AttentionWeights::Grouped(g)) = &mut layer.attention {
            adapt("attn_q", &mut g.q.w)?;
            g.k.iter_mut().try_for_each(|k| adapt("attn_k", &mut k.w))?;
            g.v.iter_mut().try_for_each(|v| adapt("attn_v", &mut v.w))?;
            adapt("attn_output", &mut g.o.w)?;
        }
        if let Some(FeedForward::Dense(d)) = &mut layer.feed_forward {
            d.gate.iter_mut().try_for_each(|gate| adapt("ffn_gate", &mut gate.w))?;
            adapt("ffn_up", &mut d.up.w)?;
            adapt("ffn_down", &mut d.down.w)?;
        }
        self.low_rank = self.low_rank.max(widest);
        Ok(())
    }
}
