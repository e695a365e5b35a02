//! `glm-dsa`: GLM 5, 5.1 and 5.2. Latent attention with DeepSeek V3.2's indexer, whose choice some layers of the last take from an
//! earlier one.

use super::{Arch, Gating, Indexed, Routing, deepseek2};
use hewn_kernels::op::rope::Pairing;

pub(super) const ARCH: Arch = Arch {
    name: "glm-dsa",
    indexed: Some(Indexed { pairing: Pairing::Neighbours, known_types: true, ..Indexed::PLAIN }),
    experts: Some(Routing { always: true, dense_width: false, gating: Gating::Sigmoid, normalize: false }),
    needs: &["attention.q_lora_rank"],
    ..deepseek2::ARCH
};
