//! The tensors of a short convolution.

use super::{Fill, Shape, Tensor};
use hewn_kernels::Format;

/// Positions that it sees.
pub(super) const TAPS: usize = 3;

/// The part of layer `i` in place of attention, where it is one; `matrix` makes one of `[rows, cols]` whose products are as
/// large as its third argument says.
pub(super) fn tensors(
    s: &Shape,
    i: usize,
    matrix: &dyn Fn(String, [usize; 2], f32) -> Tensor,
    back: f32,
) -> Option<Vec<Tensor>> {
    if s.attends(i) || s.attending.is_none() || s.space.is_some() {
        return None;
    }
    let name = |part: &str| format!("blk.{i}.shortconv.{part}.weight");
    // Before the output there is the product of three.
    let conv = Fill::Random(1.0 / (TAPS as f32).sqrt());
    Some(vec![
        matrix(name("in_proj"), [3 * s.dim, s.dim], 1.0),
        Tensor { name: name("conv"), count: 1, rows: s.dim, cols: TAPS, format: Format::F32, fill: conv },
        matrix(name("out_proj"), [s.dim, s.dim], back),
    ])
}
