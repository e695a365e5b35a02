//! `deci`: NVIDIA's Llama 3.1 Nemotron 51B, 3.3 Super 49B and 3.1 Ultra 253B, and DeciLM 7B. As `llama`, made smaller by a
//! search: layers differ in their key/value heads and in the width of their feed-forward part, lack one of the two or both, or
//! have one matrix in the place of attention.

use super::Arch;
use hewn_kernels::op::rope::Pairing;

pub(super) const ARCH: Arch = Arch { name: "deci", pairing: Pairing::Neighbours, sparse: true, ..Arch::PLAIN };
