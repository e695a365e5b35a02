//! The first Mamba: layers that are a state space and nothing else.

use super::{Fill, Shape, Tensor};
use hewn_kernels::Format;
use hewn_loader::{GgufWriter, MetaValue};
use std::io;

/// The sizes of its state spaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mamba {
    /// Channels.
    pub width: usize,
    /// Numbers that each keeps.
    pub keys: usize,
    /// Channels that the lengths of steps are made of.
    pub rank: usize,
}

/// Positions that the convolution sees.
const TAPS: usize = 4;

impl Mamba {
    /// All tensors but the embedding, the output and the last norm; `matrix` as in [`delta::tensors`](super::delta::tensors).
    pub(super) fn tensors(
        &self,
        s: &Shape,
        matrix: &dyn Fn(String, [usize; 2], f32) -> Tensor,
        back: f32,
    ) -> Vec<Tensor> {
        let plain = |name, rows, cols, fill| Tensor { name, count: 1, rows, cols, format: Format::F32, fill };
        let mut all = Vec::new();
        for i in 0..s.layers {
            let name = |part: &str| format!("blk.{i}.{part}");
            all.extend([
                plain(name("attn_norm.weight"), 1, s.dim, Fill::Norm),
                matrix(name("ssm_in.weight"), [2 * self.width, s.dim], 1.0),
                plain(name("ssm_conv1d.weight"), self.width, TAPS, Fill::Random(0.5)),
                plain(name("ssm_conv1d.bias"), 1, self.width, Fill::Random(0.1)),
                matrix(name("ssm_x.weight"), [self.rank + 2 * self.keys, self.width], 1.0),
                matrix(name("ssm_dt.weight"), [self.width, self.rank], 1.0),
                plain(name("ssm_dt.bias"), 1, self.width, Fill::Random(1.0)),
                plain(name("ssm_a"), self.width, self.keys, Fill::Rates),
                plain(name("ssm_d"), 1, self.width, Fill::Norm),
                matrix(name("ssm_out.weight"), [s.dim, self.width], back),
            ]);
        }
        all
    }

    pub(super) fn metadata(&self, w: &mut GgufWriter, s: &Shape) -> io::Result<()> {
        for (name, v) in [
            ("ssm.conv_kernel", TAPS),
            ("ssm.state_size", self.keys),
            ("ssm.time_step_rank", self.rank),
            ("ssm.inner_size", self.width),
        ] {
            w.meta(&format!("{}.{name}", s.arch), MetaValue::U32(v as u32))?;
        }
        Ok(())
    }
}
