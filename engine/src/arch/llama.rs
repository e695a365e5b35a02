//! `llama`: Llama 1-3, Mistral, SmolLM, TinyLlama, DeepSeek-R1-Distill-Llama. Files of this architecture hold query
//! and key rows permuted so that rotary pairs are neighbours.

use super::Arch;
use hewn_kernels::op::rope::Pairing;

pub(super) const ARCH: Arch = Arch { name: "llama", pairing: Pairing::Neighbours, qkv_bias: false };
