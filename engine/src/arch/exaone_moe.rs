//! `exaone-moe`: K-EXAONE. Every query and key head is normed; three layers with a window for each that sees everything, and the
//! latter do not turn queries and keys. Dense layers first, then experts of which one takes every row.

use super::{Arch, Gating, HeadNorm, Routing};

pub(super) const ARCH: Arch = Arch {
    name: "exaone-moe",
    head_norm: HeadNorm::Each,
    experts: Some(Routing { always: true, dense_width: false, gating: Gating::Sigmoid, normalize: false }),
    full_every: Some(4),
    unturned_full: true,
    needs: &["attention.sliding_window", "expert_gating_func"],
    ..Arch::PLAIN
};
