//! `minimax-m3`: MiniMax M3, the text half. Queries and keys of each head are normed, half of a head's channels are turned; dense
//! layers first, then experts of which one takes every row, and an indexer that chooses blocks of positions for each key/value
//! head. The activation is gpt-oss's.

use super::{Arch, Gating, HeadNorm, Indexed, Routing};
use hewn_kernels::op::activation::Activation;

pub(super) const ARCH: Arch = Arch {
    name: "minimax-m3",
    head_norm: HeadNorm::Each,
    activation: Activation::Clamped,
    experts: Some(Routing { always: true, dense_width: false, gating: Gating::Sigmoid, normalize: false }),
    indexed: Some(Indexed { stream_eps: true, blocks: true, ..Indexed::PLAIN }),
    needs: &["expert_gating_func", "expert_shared_count", "attention.indexer.local_blocks"],
    ..Arch::PLAIN
};
