//! `dbrx`: Databricks' DBRX. Layer norms without biases, queries, keys and values are bounded, experts in every layer.

use super::{Arch, Gating, NormKind, Norms, Routing};

pub(super) const ARCH: Arch = Arch {
    name: "dbrx",
    norm: NormKind::Layer,
    norms: Norms { before_ff: Some("attn_output_norm"), ..Norms::BEFORE },
    experts: Some(Routing { always: true, dense_width: true, gating: Gating::Softmax, normalize: true }),
    needs: &["attention.clamp_kqv"],
    ..Arch::PLAIN
};
