//! `deepseek32`: DeepSeek V3.2, as V3 but for an indexer that chooses which positions a query attends to where they are more
//! than 2048.

use super::{Arch, Indexed, deepseek2};

pub(super) const ARCH: Arch = Arch {
    name: "deepseek32",
    indexed: Some(Indexed::PLAIN),
    needs: &["expert_gating_func", "attention.q_lora_rank"],
    ..deepseek2::ARCH
};
