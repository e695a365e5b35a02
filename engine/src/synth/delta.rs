//! The tensors of a gated delta net.

use super::{Fill, Shape, Tensor};
use hewn_kernels::Format;

/// The sizes of a model's gated delta nets: three of four layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delta {
    /// Heads of queries, and of keys.
    pub k_heads: usize,
    /// Heads of values.
    pub v_heads: usize,
    /// Channels of each.
    pub dim: usize,
}

/// Positions that the convolution sees.
pub(super) const TAPS: usize = 4;
/// Every so many layers, one attends.
pub(super) const EVERY: usize = 4;

/// Whether layer `i` of such a model attends.
pub(super) fn attends(i: usize) -> bool {
    i % EVERY == EVERY - 1
}

/// The part of layer `i` in place of attention, where it is one; `matrix` makes one of `[rows, cols]` whose products are as
/// large as its third argument says.
pub(super) fn tensors(
    s: &Shape,
    i: usize,
    matrix: &dyn Fn(String, [usize; 2], f32) -> Tensor,
    back: f32,
) -> Option<Vec<Tensor>> {
    let d = s.delta.filter(|_| !attends(i))?;
    let (channels, width) = ((2 * d.k_heads + d.v_heads) * d.dim, d.v_heads * d.dim);
    let name = |part: &str| format!("blk.{i}.{part}");
    let plain =
        |part: &str, rows, cols, fill| Tensor { name: name(part), count: 1, rows, cols, format: Format::F32, fill };
    Some(vec![
        matrix(name("attn_qkv.weight"), [channels, s.dim], 1.0),
        matrix(name("attn_gate.weight"), [width, s.dim], 1.0),
        plain("ssm_conv1d.weight", channels, TAPS, Fill::Random(0.5)),
        plain("ssm_dt.bias", 1, d.v_heads, Fill::Random(1.0)),
        plain("ssm_a", 1, d.v_heads, Fill::Rates),
        matrix(name("ssm_beta.weight"), [d.v_heads, s.dim], 1.0),
        matrix(name("ssm_alpha.weight"), [d.v_heads, s.dim], 1.0),
        plain("ssm_norm.weight", 1, d.dim, Fill::Norm),
        matrix(name("ssm_out.weight"), [s.dim, width], back),
    ])
}
