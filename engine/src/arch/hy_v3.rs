//! `hy_v3`: Tencent's Hy 3. Every query and key head is normed; dense layers first, then experts of which one takes every row.

use super::{Arch, Gating, HeadNorm, Routing};

pub(super) const ARCH: Arch = Arch {
    name: "hy_v3",
    head_norm: HeadNorm::Each,
    experts: Some(Routing { always: true, dense_width: false, gating: Gating::Sigmoid, normalize: false }),
    one_shared: true,
    ..Arch::PLAIN
};
