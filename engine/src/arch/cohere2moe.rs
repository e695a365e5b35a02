//! `cohere2moe`: Cohere's North Mini Code. As `cohere2` with the layer that sees everything first of each four; dense layers
//! first, which turn queries and keys in any case, then experts, whose mean with one that takes every row counts.

use super::{Arch, Gating, Routing, cohere2};

pub(super) const ARCH: Arch = Arch {
    name: "cohere2moe",
    norm_said: true,
    experts: Some(Routing { always: true, dense_width: true, gating: Gating::Sigmoid, normalize: false }),
    shared_scale: 0.5,
    full_first: true,
    turned_dense: true,
    needs: &["attention.sliding_window", "logit_scale", "leading_dense_block_count"],
    ..cohere2::ARCH
};
