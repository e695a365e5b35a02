//! The weights of several residual streams that stay apart.

use super::Norm;
use super::load::{Loader, need};
use super::matrix::MatrixRef;
use crate::arch::NormKind;
use crate::error::EngineError;

/// What a row's shares of its streams are made of.
#[derive(Clone, Debug)]
pub(crate) struct Shares {
    /// All streams behind each other to what shares are made of: how much is read of each, then how much each gets of what the
    /// part gives, `[2 * count or count, count * dim]`.
    pub of: MatrixRef,
    /// What that is multiplied with: the first half, and the second.
    pub scale: Vec<f32>,
    /// Added to it.
    pub base: Vec<f32>,
}

/// How streams become one behind the last layer.
#[derive(Clone, Debug)]
pub(crate) struct StreamsHead {
    pub shares: Shares,
    /// Of all streams behind each other, wherever shares are made of them; without weights.
    pub even: Norm,
}

impl Loader<'_> {
    pub(super) fn streams_head(&mut self) -> Result<Option<StreamsHead>, EngineError> {
        let Some(streams) = self.config.streams else { return Ok(None) };
        let shares = self.stream_shares("output_hc", streams.count, 1)?;
        let w = vec![1.0; streams.count * self.config.dim];
        Ok(Some(StreamsHead { shares, even: Norm { kind: NormKind::Rms, w, bias: None } }))
    }

    /// Those of a layer's attention and of its feed-forward part.
    pub(super) fn layer_shares(
        &mut self,
        count: usize,
        name: &dyn Fn(&str) -> String,
    ) -> Result<[Shares; 2], EngineError> {
        Ok([self.stream_shares(&name("hc_attn"), count, 2)?, self.stream_shares(&name("hc_ffn"), count, 2)?])
    }

    fn stream_shares(&mut self, prefix: &str, count: usize, kinds: usize) -> Result<Shares, EngineError> {
        let [of, scale, base] = ["fn", "scale", "base"].map(|part| format!("{prefix}_{part}.weight"));
        Ok(Shares {
            of: need(self.matrix(&of, kinds * count, count * self.config.dim)?, &of)?,
            scale: need(self.numbers(&scale, &[kinds])?, &scale)?,
            base: need(self.numbers(&base, &[kinds * count])?, &base)?,
        })
    }
}
