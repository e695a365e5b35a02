//! `laguna`: Poolside's Laguna. Every query and key head is normed, outputs of heads are gated; in most models, of each four
//! layers all but the first have a window, query heads and rotary positions of their own. Dense layers first, then experts of
//! which one takes every row.

use super::{Arch, Gating, HeadGates, HeadNorm, LocalRope, Routing};

pub(super) const ARCH: Arch = Arch {
    name: "laguna",
    head_norm: HeadNorm::Each,
    gated_heads: HeadGates::Softplus,
    experts: Some(Routing { always: true, dense_width: false, gating: Gating::Sigmoid, normalize: false }),
    one_shared: true,
    varied: true,
    full_every: Some(4),
    full_first: true,
    local_rope: Some(LocalRope { base: None }),
    needs: &["leading_dense_block_count"],
    ..Arch::PLAIN
};
