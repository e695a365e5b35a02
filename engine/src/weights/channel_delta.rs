//! The weights of Kimi delta attention.

use super::load::{Loader, need};
use super::matrix::MatrixRef;
use super::{Linear, Norm};
use crate::arch::NormKind;
use crate::error::EngineError;
use hewn_kernels::op::delta::DeltaShape;

/// A delta net, each channel of whose keys fades by a factor of its own.
#[derive(Clone, Debug)]
pub(crate) struct ChannelDelta {
    /// The stream to queries, keys and values, `[width, dim]` each.
    pub qkv: [MatrixRef; 3],
    /// The convolution, `[taps, 3 * width]`.
    pub conv: Vec<f32>,
    /// The stream to what the factors are made of, `[width, dim]`.
    pub fade: Pair,
    /// Added to that, `[width]`.
    pub step_bias: Vec<f32>,
    /// The logarithm of a head's factors for a step of 1, `[heads]`.
    pub rate: Vec<f32>,
    /// The stream to how much each head's matrix is corrected, `[heads, dim]`.
    pub beta: MatrixRef,
    /// The stream to what gates the output, likewise.
    pub gate: Pair,
    /// Of each head's output, `[head_dim]`.
    pub norm: Norm,
    /// Back to the stream, `[dim, width]`.
    pub o: Linear,
}

/// A matrix, or two that are multiplied with one after the other, by way of a head's channels: `[head_dim, dim]`,
/// `[width, head_dim]`.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub first: MatrixRef,
    pub second: Option<MatrixRef>,
}

impl ChannelDelta {
    /// The matrices that the layer's input is multiplied with, in the order of what they give.
    pub fn first(&self) -> Vec<&MatrixRef> {
        self.qkv.iter().chain([&self.fade.first, &self.gate.first, &self.beta]).collect()
    }
}

impl Loader<'_> {
    pub(super) fn channel_delta(
        &mut self,
        d: &DeltaShape,
        bounded: bool,
        name: &dyn Fn(&str) -> String,
    ) -> Result<ChannelDelta, EngineError> {
        let (dim, width) = (self.config.dim, d.width());
        let matrix = |l: &mut Self, part: &str, rows: usize, cols: usize| {
            let name = name(&format!("{part}.weight"));
            need(l.matrix(&name, rows, cols)?, &name)
        };
        let pair = |l: &mut Self, part: &str| {
            let [a, b] = ["a", "b"].map(|half| format!("{part}_{half}"));
            let rows = l.gguf.tensor(&name(&format!("{a}.weight"))).map(|t| t.rows());
            let whole = rows == Some(width as u64) && !l.has(&name(&format!("{b}.weight")));
            Ok::<_, EngineError>(match whole {
                true => Pair { first: matrix(l, &a, width, dim)?, second: None },
                false => Pair { first: matrix(l, &a, d.dim, dim)?, second: Some(matrix(l, &b, width, d.dim)?) },
            })
        };
        let qkv = match self.has(&name("attn_qkv.weight")) {
            true => self.parts(&name("attn_qkv.weight"), [width; 3], dim)?,
            false => {
                let [q, k, v] = ["attn_q", "attn_k", "attn_v"].map(|part| matrix(self, part, width, dim));
                [q?, k?, v?]
            }
        };
        let mut conv = vec![0.0; d.taps * 3 * width];
        for (i, part) in ["ssm_conv1d_q.weight", "ssm_conv1d_k.weight", "ssm_conv1d_v.weight"].iter().enumerate() {
            let by_channel = need(self.numbers(&name(part), &[d.taps, 1, width])?, &name(part))?;
            for (c, weights) in by_channel.chunks_exact(d.taps).enumerate() {
                weights.iter().enumerate().for_each(|(tap, w)| conv[(tap * 3 + i) * width + c] = *w);
            }
        }
        // Some converters leave the first dimension out.
        let flat = self.gguf.tensor(&name("ssm_a")).is_some_and(|t| t.dims.len() == 1);
        let rates: &[usize] = if flat { &[d.v_heads] } else { &[1, d.v_heads] };
        let mut numbers = |part: &str, dims: &[usize]| need(self.numbers(&name(part), dims)?, &name(part));
        let (step_bias, mut rate) = (numbers("ssm_dt.bias", &[width])?, numbers("ssm_a", rates)?);
        if bounded && self.config.arch.rates_negated {
            rate.iter_mut().for_each(|rate| *rate = -*rate);
        }
        Ok(ChannelDelta {
            qkv,
            conv,
            fade: pair(self, "ssm_f")?,
            step_bias,
            rate,
            beta: matrix(self, "ssm_beta", d.v_heads, dim)?,
            gate: pair(self, "ssm_g")?,
            norm: self.norm(&name("ssm_norm"), d.dim, NormKind::Rms)?,
            o: self.linear(&name("attn_output"), dim, width, false)?,
        })
    }
}
