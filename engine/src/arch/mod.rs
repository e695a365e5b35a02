//! Architectures: each file has the names and the differences of one, and nothing else.
//!
//! The common skeleton (pre-norm, rotary positions, grouped-query attention, gated feed-forward) lives in
//! [`crate::forward`]; a new architecture of that family is a file with a [`Arch`] constant and a line in [`ALL`].

mod llama;
mod qwen2;

use hewn_kernels::op::rope::Pairing;

/// What distinguishes one architecture from another.
#[derive(Debug)]
pub struct Arch {
    /// `general.architecture`, and the prefix of its metadata keys.
    pub name: &'static str,
    /// Which channels form a rotary pair.
    pub pairing: Pairing,
    /// Whether the query, key and value projections must have biases; where not, they may.
    pub qkv_bias: bool,
}

/// Every supported architecture.
pub const ALL: &[&Arch] = &[&llama::ARCH, &qwen2::ARCH];

/// The architecture of this name.
pub fn find(name: &str) -> Option<&'static Arch> {
    ALL.iter().copied().find(|a| a.name == name)
}

/// The names of all, for messages.
pub fn names() -> String {
    ALL.iter().map(|a| a.name).collect::<Vec<_>>().join(", ")
}
