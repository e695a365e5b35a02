//! The weights of residual streams that layers mix.

use super::Norm;
use super::load::{Loader, need};
use super::matrix::MatrixRef;
use crate::arch::NormKind;
use crate::error::EngineError;
use hewn_kernels::op::hyper::STREAMS;

/// What shares of the streams are made of: `scale (shares norm(streams)) + base`.
#[derive(Clone, Debug)]
pub(crate) struct MixedShares {
    /// `[shares, STREAMS * dim]`
    pub w: MatrixRef,
    /// A factor for those in what a part reads, those in which streams take what it gives, and those of each in each.
    pub scale: Vec<f32>,
    /// `[shares]`
    pub base: Vec<f32>,
}

/// What a layer's two parts have for it.
#[derive(Clone, Debug)]
pub(crate) struct LayerHyper {
    pub attention: MixedShares,
    pub feed_forward: MixedShares,
}

/// What is common to all layers, and what is behind the last.
#[derive(Clone, Debug)]
pub(crate) struct Hyper {
    /// Of all streams as one; its weights are ones.
    pub norm: Norm,
    /// The streams' shares in the one that is left; where there are none, that is their mean.
    pub head: Option<MixedShares>,
}

impl Loader<'_> {
    pub(super) fn hyper(&mut self) -> Result<Option<Hyper>, EngineError> {
        if self.config.hyper.is_none() {
            return Ok(None);
        }
        let ones = vec![1.0; STREAMS * self.config.dim];
        let norm = Norm { kind: NormKind::Rms, w: ones, bias: None };
        let head = match self.config.arch.streams_even {
            true => None,
            false => Some(self.shares_of(&|part| format!("output_hc_{part}.weight"), [STREAMS, 1])?),
        };
        Ok(Some(Hyper { norm, head }))
    }

    pub(super) fn layer_hyper(&mut self, name: &dyn Fn(&str) -> String) -> Result<LayerHyper, EngineError> {
        let all = [(2 + STREAMS) * STREAMS, 3];
        Ok(LayerHyper {
            attention: self.shares_of(&|part| name(&format!("hc_attn_{part}.weight")), all)?,
            feed_forward: self.shares_of(&|part| name(&format!("hc_ffn_{part}.weight")), all)?,
        })
    }

    fn shares_of(
        &mut self,
        name: &dyn Fn(&str) -> String,
        [shares, scales]: [usize; 2],
    ) -> Result<MixedShares, EngineError> {
        let [w, scale, base] = ["fn", "scale", "base"].map(name);
        Ok(MixedShares {
            w: need(self.matrix(&w, shares, STREAMS * self.config.dim)?, &w)?,
            scale: need(self.numbers(&scale, &[scales])?, &scale)?,
            base: need(self.numbers(&base, &[shares])?, &base)?,
        })
    }
}
