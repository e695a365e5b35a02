//! `glm4moe`: GLM 4.5, 4.6 and 4.7. Half of a head's channels are turned, in the larger ones every query and key head is normed;
//! a dense layer first, then experts of which one takes every row.

use super::{Arch, Gating, HeadNorm, Norms, Routing};

pub(super) const ARCH: Arch = Arch {
    name: "glm4moe",
    norms: Norms { before_ff: Some("post_attention_norm"), ..Norms::BEFORE },
    head_norm: HeadNorm::EachOrNone,
    experts: Some(Routing { always: true, dense_width: false, gating: Gating::Sigmoid, normalize: false }),
    ..Arch::PLAIN
};
