//! The weights of a state space.

use super::layer::StateSpace;
use super::load::{Loader, need};
use crate::arch::Recurrence;
use crate::error::EngineError;
use hewn_kernels::op::scan::ScanShape;

impl Loader<'_> {
    pub(super) fn state_space(
        &mut self,
        s: &ScanShape,
        name: &dyn Fn(&str) -> String,
    ) -> Result<StateSpace, EngineError> {
        let c = self.config;
        let (channels, width, heads) = (s.channels(), s.width(), s.heads);
        let normed = matches!(c.arch.recurrence, Some(Recurrence::Scan(layout)) if layout.normed);
        let [z, vkq, step] = self.parts(&name("ssm_in.weight"), [width, channels, heads], c.dim)?;
        let conv = self.convolution(&name("ssm_conv1d.weight"), s.taps, channels)?;
        let mut numbers = |part: &str, dims: &[usize]| need(self.numbers(&name(part), dims)?, &name(part));
        let step_bias = numbers("ssm_dt.bias", &[heads])?;
        let (rate, skip) = (numbers("ssm_a", &[1, heads])?, numbers("ssm_d", &[1, heads])?);
        let norm = self.numbers(&name("ssm_norm.weight"), &[width / s.key_heads, s.key_heads])?;
        if normed && norm.is_none() {
            return Err(EngineError::MissingTensor { name: name("ssm_norm.weight") });
        }
        Ok(StateSpace {
            z,
            vkq,
            step,
            conv,
            conv_bias: self.numbers(&name("ssm_conv1d.bias"), &[channels])?,
            step_bias,
            rate,
            skip,
            norm,
            o: self.linear(&name("ssm_out"), c.dim, width, false)?,
        })
    }
}
