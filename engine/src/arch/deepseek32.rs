//! `deepseek32`: DeepSeek V3.2, as V3 but for an indexer that chooses which positions a query attends to where they are more
//! than 2048. Up to there all of them are attended to, and that far sequences go.

use super::{Arch, deepseek2};

pub(super) const ARCH: Arch =
    Arch { name: "deepseek32", indexed: true, needs: &["expert_gating_func"], ..deepseek2::ARCH };
