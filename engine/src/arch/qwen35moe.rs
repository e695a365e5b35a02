//! `qwen35moe`: the mixtures of experts among the Qwen 3.5 and 3.6 models.

use super::{Arch, Gating, Routing, qwen35};

pub(super) const ARCH: Arch = Arch {
    name: "qwen35moe",
    experts: Some(Routing { always: true, dense_width: false, gating: Gating::Softmax, normalize: true }),
    ..qwen35::ARCH
};
