//! What comes behind the rows of texts: matrices that vectors go through, and classifiers.

use super::blocks_of;
use super::route::softmax;
use super::rows::quantize_rows;
use crate::arch::Scoring;
use crate::error::{EngineError, zeroed};
use crate::model::Model;
use crate::weights::{Classifier, Linear};
use hewn_kernels::op::activation::{Activation, activate, add};
use hewn_kernels::op::layer_norm::layer_norm;
use hewn_kernels::op::matmul::{Input, Product, matmul};
use hewn_kernels::op::quantize::ActBlock;
use hewn_kernels::{CpuIsa, Team};

/// `linear(x)` of each row.
pub(crate) fn through(model: &Model, team: &Team, linear: &Linear, x: &[f32]) -> Result<Vec<f32>, EngineError> {
    let (width, rows) = (linear.w.cols, linear.w.rows);
    let n = x.len() / width;
    let mut out = zeroed(n.saturating_mul(rows), "vectors")?;
    if n == 0 {
        return Ok(out);
    }
    let quant = linear.w.is_quant();
    let mut blocks: Vec<ActBlock> = zeroed(if quant { n * width / 32 } else { 0 }, "vectors")?;
    team.step(|crew| {
        quantize_rows(crew, quant, x, width, &mut blocks, || "in the vectors of texts".into())?;
        let blocks = if quant { blocks_of(&blocks, n, width) } else { &[] };
        let x = Input { floats: x, blocks };
        matmul(crew, n, &mut [Product { w: linear.w.view(model.gguf()), x, out: &mut out }]);
        Ok::<_, EngineError>(())
    })
    .map_err(EngineError::from)
    .flatten()?;
    if let Some(b) = &linear.bias {
        out.chunks_exact_mut(rows).for_each(|row| add(row, b));
    }
    Ok(out)
}

/// What a classifier makes of rows, `[rows, labels]`.
pub(crate) fn classify(model: &Model, team: &Team, w: &Classifier, x: &[f32]) -> Result<Vec<f32>, EngineError> {
    let c = model.config();
    let hidden = match &w.inner {
        Some(inner) => {
            let mut hidden = through(model, team, inner, x)?;
            match w.kind {
                Scoring::Gelu => activate(team.isa(), Activation::GeluErf, &mut hidden),
                // A few numbers a text: the library's tangent will do.
                _ => hidden.iter_mut().for_each(|v| *v = libm::tanhf(*v)),
            }
            hidden
        }
        None => x.to_vec(),
    };
    let hidden = match &w.norm {
        Some(norm) => {
            let mut rows = hidden;
            let isa: CpuIsa = team.isa();
            rows.chunks_exact_mut(c.dim).for_each(|row| layer_norm(isa, row, &norm.w, norm.bias.as_deref(), c.eps));
            rows
        }
        None => hidden,
    };
    let mut scores = through(model, team, &w.output, &hidden)?;
    if w.kind == Scoring::Softmax {
        scores.chunks_exact_mut(c.vectors.labels).for_each(softmax);
    }
    Ok(scores)
}
