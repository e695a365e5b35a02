//! The weights of a state space whose values tell the rest.

use super::load::{Loader, need};
use super::matrix::MatrixRef;
use super::{Linear, Norm};
use crate::arch::NormKind;
use crate::config;
use crate::error::EngineError;

/// A state space of heads whose values tell keys, queries and steps.
#[derive(Clone, Debug)]
pub(crate) struct ToldScan {
    /// The stream to what gates a head's output and to its value, head by head, `[heads, 2, v_dim]` rows.
    pub input: MatrixRef,
    /// The convolution, `[taps, width]`.
    pub conv: Vec<f32>,
    /// Convolved values to a key, a query and what steps are made of, `[2 * k_dim + rank, width]`.
    pub select: MatrixRef,
    /// Of those three.
    pub norms: [Norm; 3],
    /// To the lengths of steps, `[heads, rank]`.
    pub step: MatrixRef,
    /// Added to those, `[heads]`.
    pub step_bias: Vec<f32>,
    /// The logarithm of a head's decay for a step of 1, `[heads]`.
    pub rate: Vec<f32>,
    /// How much of a value passes by the matrix, `[heads]`.
    pub skip: Vec<f32>,
    /// Back to the stream, `[dim, width]`.
    pub o: Linear,
}

impl Loader<'_> {
    pub(super) fn told_scan(
        &mut self,
        s: &config::ToldScan,
        name: &dyn Fn(&str) -> String,
    ) -> Result<ToldScan, EngineError> {
        let (dim, width, heads, k_dim) = (self.config.dim, s.shape.width(), s.shape.heads, s.shape.k_dim);
        let sizes = [("ssm_b_norm", k_dim), ("ssm_c_norm", k_dim), ("ssm_dt_norm", s.rank)];
        let [key, query, step] = sizes.map(|(part, n)| self.norm(&name(part), n, NormKind::Rms));
        let norms = [key?, query?, step?];
        let mut matrix =
            |part: &str, rows: usize, cols: usize| need(self.matrix(&name(part), rows, cols)?, &name(part));
        let (input, select) =
            (matrix("ssm_in.weight", 2 * width, dim)?, matrix("ssm_x.weight", 2 * k_dim + s.rank, width)?);
        let step = matrix("ssm_dt.weight", heads, s.rank)?;
        let mut numbers = |part: &str| need(self.numbers(&name(part), &[heads])?, &name(part));
        let (step_bias, rate, skip) = (numbers("ssm_dt.bias")?, numbers("ssm_a")?, numbers("ssm_d")?);
        Ok(ToldScan {
            input,
            conv: self.convolution(&name("ssm_conv1d.weight"), s.shape.taps, width)?,
            select,
            norms,
            step,
            step_bias,
            rate,
            skip,
            o: self.linear(&name("ssm_out"), dim, width, false)?,
        })
    }
}
