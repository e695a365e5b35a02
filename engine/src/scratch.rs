//! The buffers of a step, made once and reused.

use crate::config::ModelConfig;
use crate::error::{EngineError, zeroed};
use hewn_kernels::op::quantize::ActBlock;

/// Every buffer of a step of up to `rows` rows. Shapes in the comments; widths from [`ModelConfig`].
pub(crate) struct Scratch {
    /// The residual stream, `[rows, dim]`.
    pub x: Vec<f32>,
    /// Normed input of a projection, `[rows, dim]`.
    pub h: Vec<f32>,
    /// A projection's result on its way back to the stream, `[rows, dim]`.
    pub t: Vec<f32>,
    /// Queries `[rows, heads * k_dim]`.
    pub q: Vec<f32>,
    /// Keys `[rows, kv_heads * k_dim]`.
    pub k: Vec<f32>,
    /// Values `[rows, kv_heads * v_dim]`.
    pub v: Vec<f32>,
    /// Attention's output `[rows, heads * v_dim]`.
    pub att: Vec<f32>,
    /// `[rows, ff]`, also the gated product.
    pub gate: Vec<f32>,
    /// `[rows, ff]`.
    pub up: Vec<f32>,
    /// Whatever was quantized last, `[rows, widest / 32]`.
    pub blocks: Vec<ActBlock>,
    /// Cosines of the rows' positions, `[rows, rope_dim / 2]`.
    pub cos: Vec<f32>,
    /// Sines likewise.
    pub sin: Vec<f32>,
}

/// Widths of the f32 buffers in the order of the fields, and of the blocks.
fn widths(c: &ModelConfig) -> ([usize; 11], usize) {
    let (kw, vw, r) = (c.kv_heads * c.k_dim, c.kv_heads * c.v_dim, c.rope_dim / 2);
    let widest = c.dim.max(c.att_width()).max(c.ff);
    ([c.dim, c.dim, c.dim, c.q_width(), kw, vw, c.att_width(), c.ff, c.ff, r, r], widest.div_ceil(32))
}

impl Scratch {
    pub fn new(c: &ModelConfig, rows: usize) -> Result<Self, EngineError> {
        let (f, blocks) = widths(c);
        let buf = |i: usize| zeroed(rows.saturating_mul(f[i]), "the buffers of a step");
        Ok(Self {
            x: buf(0)?,
            h: buf(1)?,
            t: buf(2)?,
            q: buf(3)?,
            k: buf(4)?,
            v: buf(5)?,
            att: buf(6)?,
            gate: buf(7)?,
            up: buf(8)?,
            cos: buf(9)?,
            sin: buf(10)?,
            blocks: zeroed(rows.saturating_mul(blocks), "the buffers of a step")?,
        })
    }

    /// Bytes of the buffers for `rows` rows, with the logits of one.
    pub fn bytes(c: &ModelConfig, rows: usize) -> u64 {
        let (f, blocks) = widths(c);
        let row = f.iter().sum::<usize>() * size_of::<f32>() + blocks * size_of::<ActBlock>();
        (row as u64).saturating_mul(rows as u64) + (c.vocab * size_of::<f32>()) as u64
    }
}
