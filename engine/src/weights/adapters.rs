//! The weights of low-rank adapters.

use super::load::Loader;
use super::matrix::Stack;
use crate::config;
use crate::error::EngineError;

/// The adapters of one projection, the first of which does nothing: `B (A x)` is added to its product.
#[derive(Clone, Debug)]
pub(crate) struct Adapted {
    /// `[rank, ins]` each.
    pub a: Stack,
    /// `[outs, rank]` each.
    pub b: Stack,
}

/// The adapters of a layer's projections.
#[derive(Clone, Debug)]
pub(crate) struct LayerAdapters {
    pub q: Adapted,
    pub k: Adapted,
    pub v: Adapted,
    pub o: Adapted,
    pub gate: Adapted,
    pub up: Adapted,
    pub down: Adapted,
}

impl Loader<'_> {
    pub(super) fn layer_adapters(
        &mut self,
        adapters: &config::Adapters,
        i: usize,
        name: &dyn Fn(&str) -> String,
    ) -> Result<LayerAdapters, EngineError> {
        let (dim, sizes, count) = (self.config.dim, self.config.layer(i), adapters.count + 1);
        let mut stack = |name: String, rows: usize, cols: usize| {
            let stack = self.stack(&name, count, rows, cols)?;
            match stack.is_quant() {
                true => Err(EngineError::Config { key: name, reason: "adapters in blocks are not supported".into() }),
                false => Ok(stack),
            }
        };
        let mut adapted = |part: &str, outs: usize, ins: usize| {
            let a = stack(name(&format!("{part}.lora_a")), adapters.rank, ins)?;
            Ok::<_, EngineError>(Adapted { a, b: stack(name(&format!("{part}.lora_b")), outs, adapters.rank)? })
        };
        Ok(LayerAdapters {
            q: adapted("attn_q", sizes.q_width(), dim)?,
            k: adapted("attn_k", sizes.k_width(), dim)?,
            v: adapted("attn_v", sizes.v_width(), dim)?,
            o: adapted("attn_output", dim, sizes.att_width())?,
            gate: adapted("ffn_gate", sizes.ff, dim)?,
            up: adapted("ffn_up", sizes.ff, dim)?,
            down: adapted("ffn_down", dim, sizes.ff)?,
        })
    }
}
