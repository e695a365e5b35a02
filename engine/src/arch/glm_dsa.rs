//! `glm-dsa`: GLM 5. Latent attention with DeepSeek V3.2's indexer, up to as many positions as that chooses.

use super::{Arch, Gating, Routing, deepseek2};

pub(super) const ARCH: Arch = Arch {
    name: "glm-dsa",
    indexed: true,
    experts: Some(Routing { always: true, dense_width: false, gating: Gating::Sigmoid, normalize: false }),
    ..deepseek2::ARCH
};
