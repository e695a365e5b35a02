//! The weights of lightning attention.

use super::load::{Loader, need};
use super::matrix::MatrixRef;
use super::{Linear, Norm};
use crate::arch::NormKind;
use crate::error::EngineError;
use hewn_kernels::op::wkv::WkvShape;

/// Attention without a softmax.
#[derive(Clone, Debug)]
pub(crate) struct Lightning {
    /// The stream to each head's query, key and value, `[heads * 3 * head_dim, dim]`.
    pub qkv: MatrixRef,
    /// To what gates the output, `[width, dim]`.
    pub gate: MatrixRef,
    /// Of the output before, `[width]`.
    pub norm: Norm,
    /// What a position counts less than the one behind it, `[heads]`.
    pub decays: Vec<f32>,
    /// Back to the stream, `[dim, width]`.
    pub o: Linear,
}

impl Loader<'_> {
    pub(super) fn lightning(
        &mut self,
        i: usize,
        shape: &WkvShape,
        name: &dyn Fn(&str) -> String,
    ) -> Result<Lightning, EngineError> {
        let (c, width, heads) = (self.config, shape.width(), shape.heads as f64);
        let mut matrix = |part: &str, rows: usize| need(self.matrix(&name(part), rows, c.dim)?, &name(part));
        let (qkv, gate) = (matrix("attn_qkv.weight", 3 * width)?, matrix("attn_gate.weight", width)?);
        // As slopes of attention scores, and less of them from layer to layer.
        let ratio = libm::exp2(-libm::exp2(-(libm::log2(heads) - 3.0)));
        let share = 1.0 - i as f64 / (c.layers - 1) as f64 + 1e-5;
        let decay = |h: usize| libm::exp(-libm::pow(ratio, (h + 1) as f64) * share) as f32;
        Ok(Lightning {
            qkv,
            gate,
            norm: self.norm(&name("attn_norm_2"), width, NormKind::Rms)?,
            decays: (0..shape.heads).map(decay).collect(),
            o: self.linear(&name("attn_output"), c.dim, width, false)?,
        })
    }
}
