//! `deepseek`: the first DeepSeek models with experts (16B). Attention as in `llama`; dense layers first, then experts of which
//! some take every row.

use super::{Arch, Gating, Routing};
use hewn_kernels::op::rope::Pairing;

pub(super) const ARCH: Arch = Arch {
    name: "deepseek",
    pairing: Pairing::Neighbours,
    experts: Some(Routing { always: true, dense_width: false, gating: Gating::Softmax, normalize: false }),
    ..Arch::PLAIN
};
