//! The tensors of a state space, and what Granite's hybrids say about them.

use super::{Fill, Shape, Tensor};
use hewn_kernels::Format;
use hewn_loader::{GgufWriter, MetaValue};
use std::io;

/// The sizes of a model's state spaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Heads.
    pub heads: usize,
    /// Channels of each.
    pub dim: usize,
    /// Channels of a key, of which all heads have the same.
    pub keys: usize,
}

/// Positions that the convolution sees.
const TAPS: usize = 4;

impl Space {
    /// The part of layer `i` in place of attention, if it is one; `matrix` as for delta nets.
    pub(super) fn tensors(
        s: &Shape,
        i: usize,
        matrix: &dyn Fn(String, [usize; 2], f32) -> Tensor,
        back: f32,
    ) -> Option<Vec<Tensor>> {
        let p = s.space.filter(|_| !s.attends(i))?;
        let width = p.heads * p.dim;
        let channels = width + 2 * p.keys;
        let name = |part: &str| format!("blk.{i}.{part}");
        let plain =
            |part: &str, rows, cols, fill| Tensor { name: name(part), count: 1, rows, cols, format: Format::F32, fill };
        Some(vec![
            matrix(name("ssm_in.weight"), [width + channels + p.heads, s.dim], 1.0),
            plain("ssm_conv1d.weight", channels, TAPS, Fill::Random(0.5)),
            plain("ssm_conv1d.bias", 1, channels, Fill::Random(0.1)),
            plain("ssm_dt.bias", 1, p.heads, Fill::Random(1.0)),
            plain("ssm_a", p.heads, 1, Fill::Rates),
            plain("ssm_d", p.heads, 1, Fill::Norm),
            plain("ssm_norm.weight", 1, width, Fill::Norm),
            matrix(name("ssm_out.weight"), [s.dim, width], back),
        ])
    }

    /// The sizes, and that positions are not turned.
    pub(super) fn metadata(&self, w: &mut GgufWriter, s: &Shape) -> io::Result<()> {
        let key = |key: &str| format!("{}.{key}", s.arch);
        for (name, v) in [
            ("ssm.conv_kernel", TAPS),
            ("ssm.state_size", self.keys),
            ("ssm.group_count", 1),
            ("ssm.time_step_rank", self.heads),
            ("ssm.inner_size", self.heads * self.dim),
        ] {
            w.meta(&key(name), MetaValue::U32(v as u32))?;
        }
        w.meta(&key("rope.scaling.finetuned"), MetaValue::Bool(false))
    }
}
