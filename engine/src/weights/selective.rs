//! The weights of a first Mamba's state space.

use super::load::{Loader, need};
use super::matrix::MatrixRef;
use super::{Linear, Norm};
use crate::arch::{NormKind, Recurrence};
use crate::config;
use crate::error::EngineError;

/// A state space whose channels have steps and rates of their own.
#[derive(Clone, Debug)]
pub(crate) struct Selective {
    /// The stream to values and to what gates the output, `[width, dim]` each.
    pub input: [MatrixRef; 2],
    /// The convolution, `[taps, width]`.
    pub conv: Vec<f32>,
    /// `[width]`
    pub conv_bias: Option<Vec<f32>>,
    /// Convolved values to what steps are made of, a key and a query, `[rank + 2 * k_dim, width]`.
    pub select: MatrixRef,
    /// Of those three, where they are normed.
    pub norms: Option<[Norm; 3]>,
    /// To the lengths of steps, `[width, rank]`.
    pub step: Linear,
    /// The logarithms of the numbers' decays for a step of 1, as the scan reads them.
    pub rates: Vec<f32>,
    /// How much of a value passes by, `[width]`.
    pub skip: Vec<f32>,
    /// Back to the stream, `[dim, width]`.
    pub o: Linear,
}

impl Loader<'_> {
    pub(super) fn selective(
        &mut self,
        s: &config::Selective,
        name: &dyn Fn(&str) -> String,
    ) -> Result<Selective, EngineError> {
        let (c, width, k_dim) = (self.config, s.shape.width, s.shape.k_dim);
        let sizes = [("ssm_dt_norm", s.rank), ("ssm_b_norm", k_dim), ("ssm_c_norm", k_dim)];
        let norms = match c.arch.recurrence {
            Some(Recurrence::Selective { weighed_norms: true }) => {
                let [step, key, query] = sizes.map(|(part, n)| self.norm(&name(part), n, NormKind::Rms));
                Some([step?, key?, query?])
            }
            _ if s.normed => Some(sizes.map(|(_, n)| Norm { kind: NormKind::Rms, w: vec![1.0; n], bias: None })),
            _ => None,
        };
        let (select, a, skip) = (name("ssm_x.weight"), name("ssm_a"), name("ssm_d"));
        Ok(Selective {
            input: self.parts(&name("ssm_in.weight"), [width; 2], c.dim)?,
            conv: self.convolution(&name("ssm_conv1d.weight"), s.shape.taps, width)?,
            conv_bias: self.numbers(&name("ssm_conv1d.bias"), &[width])?,
            select: need(self.matrix(&select, s.rank + 2 * k_dim, width)?, &select)?,
            norms,
            step: self.linear(&name("ssm_dt"), width, s.rank, true)?,
            rates: s.shape.rates(&need(self.numbers(&a, &[k_dim, width])?, &a)?),
            skip: need(self.numbers(&skip, &[width])?, &skip)?,
            o: self.linear(&name("ssm_out"), c.dim, width, false)?,
        })
    }
}
