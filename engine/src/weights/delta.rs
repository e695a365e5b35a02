//! The weights of a gated delta net.

use super::layer::{DeltaGates, DeltaNet};
use super::load::{Loader, need};
use crate::arch::{NormKind, Recurrence};
use crate::error::EngineError;
use hewn_kernels::op::delta::DeltaShape;

impl Loader<'_> {
    pub(super) fn delta_net(&mut self, d: &DeltaShape, name: &dyn Fn(&str) -> String) -> Result<DeltaNet, EngineError> {
        let c = self.config;
        let (dim, channels, v_heads) = (c.dim, d.channels(), d.v_heads);
        let fused = matches!(c.arch.recurrence, Some(Recurrence::Delta(layout)) if layout.fused_gates);
        let mut numbers = |part: &str, dims: &[usize]| need(self.numbers(&name(part), dims)?, &name(part));
        let (step_bias, rate) = (numbers("ssm_dt.bias", &[v_heads])?, numbers("ssm_a", &[v_heads])?);
        let conv = self.convolution(&name("ssm_conv1d.weight"), d.taps, channels)?;
        let mut matrix = |part: &str, rows: usize| need(self.matrix(&name(part), rows, dim)?, &name(part));
        Ok(DeltaNet {
            qkv: matrix("attn_qkv.weight", channels)?,
            z: matrix("attn_gate.weight", d.width())?,
            gates: match fused {
                true => DeltaGates::Fused(matrix("ssm_ba.weight", 2 * v_heads)?),
                false => DeltaGates::Apart {
                    beta: matrix("ssm_beta.weight", v_heads)?,
                    alpha: matrix("ssm_alpha.weight", v_heads)?,
                },
            },
            conv,
            step_bias,
            rate,
            norm: self.norm(&name("ssm_norm"), d.dim, NormKind::Rms)?,
            o: self.linear(&name("ssm_out"), dim, d.width(), false)?,
        })
    }
}
