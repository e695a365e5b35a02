//! The weights of several residual streams, and of the low-rank part beside the attention.

use super::load::{Loader, need};
use super::matrix::{MatrixRef, Stack};
use super::{FeedForward, Norm};
use crate::arch::NormKind;
use crate::config;
use crate::error::EngineError;
use hewn_kernels::op::altup::STREAMS;

/// How one stream becomes several before the first layer, and one again after the last: a matrix `[dim, dim]` each for the
/// streams but the first.
#[derive(Clone, Debug)]
pub(crate) struct AltUp {
    pub apart: Stack,
    pub together: Stack,
}

/// What a layer has for it.
#[derive(Clone, Debug)]
pub(crate) struct LayerAltUp {
    /// `[STREAMS, dim]`
    pub router: Vec<f32>,
    pub router_norm: Norm,
    /// `[STREAMS, STREAMS * STREAMS]`: its columns first, as the next.
    pub predict: Box<[f32; STREAMS * STREAMS * STREAMS]>,
    /// `[STREAMS, STREAMS]`
    pub correct: Box<[f32; STREAMS * STREAMS]>,
    /// What the first stream is multiplied with before it gates the layer's input, `[dim]`.
    pub scale: Vec<f32>,
    pub laurel: Laurel,
}

/// A low-rank part beside the attention: `norm(up(down h)) + h`.
#[derive(Clone, Debug)]
pub(crate) struct Laurel {
    /// `[rank, dim]`
    pub down: MatrixRef,
    /// `[dim, rank]`
    pub up: MatrixRef,
    pub norm: Norm,
}

impl Loader<'_> {
    pub(super) fn altup(&mut self) -> Result<Option<AltUp>, EngineError> {
        if self.config.altup.is_none() {
            return Ok(None);
        }
        let dim = self.config.dim;
        let mut stack = |name: &str| self.stack(name, STREAMS - 1, dim, dim);
        Ok(Some(AltUp { apart: stack("altup_proj.weight")?, together: stack("altup_unembd_proj.weight")? }))
    }

    pub(super) fn layer_altup(
        &mut self,
        a: &config::AltUp,
        name: &dyn Fn(&str) -> String,
    ) -> Result<LayerAltUp, EngineError> {
        let dim = self.config.dim;
        let (router, scale) = (name("altup_router.weight"), name("altup_correct_scale.weight"));
        let (down, up) = (name("laurel_l.weight"), name("laurel_r.weight"));
        Ok(LayerAltUp {
            router: need(self.numbers(&router, &[dim, STREAMS])?, &router)?,
            router_norm: self.norm(&name("altup_router_norm"), dim, NormKind::Rms)?,
            predict: self.columns(&name("altup_predict_coef.weight"))?,
            correct: self.columns(&name("altup_correct_coef.weight"))?,
            scale: need(self.numbers(&scale, &[dim])?, &scale)?,
            laurel: Laurel {
                down: need(self.matrix(&down, a.rank, dim)?, &down)?,
                up: need(self.matrix(&up, dim, a.rank)?, &up)?,
                norm: self.norm(&name("laurel_post_norm"), dim, NormKind::Rms)?,
            },
        })
    }

    /// A small matrix with a column for each stream, column after column.
    fn columns<const N: usize>(&mut self, name: &str) -> Result<Box<[f32; N]>, EngineError> {
        let rows = need(self.numbers(name, &[STREAMS, N / STREAMS])?, name)?;
        let mut columns = Box::new([0.0; N]);
        for (r, row) in rows.chunks_exact(STREAMS).enumerate() {
            row.iter().enumerate().for_each(|(c, w)| columns[c * (N / STREAMS) + r] = *w);
        }
        Ok(columns)
    }

    /// Refuses a bias of gates that are cut off: nothing says which comes first.
    pub(super) fn check_cut_off(&self, part: &FeedForward, name: &dyn Fn(&str) -> String) -> Result<(), EngineError> {
        match part {
            FeedForward::Dense(d) if d.gate.as_ref().is_some_and(|g| g.bias.is_some()) => {
                let arch = self.config.arch.name;
                Err(EngineError::UnexpectedTensor { name: name("ffn_gate.bias"), arch })
            }
            _ => Ok(()),
        }
    }
}
