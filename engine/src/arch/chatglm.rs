//! `chatglm`: ChatGLM 3 and GLM 4 (9B, 2024). Queries, keys and values in one tensor with biases, gate and up in another;
//! half of a head's channels are turned.

use super::Arch;
use hewn_kernels::op::rope::Pairing;

pub(super) const ARCH: Arch = Arch { name: "chatglm", pairing: Pairing::Neighbours, qkv_bias: true, ..Arch::PLAIN };
