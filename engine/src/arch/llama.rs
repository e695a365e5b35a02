//! `llama`: Llama 1-3, Mistral, Mixtral, SmolLM, TinyLlama, DeepSeek-R1-Distill-Llama. Files of this architecture hold
//! query and key rows permuted so that rotary pairs are neighbours.

use super::{Arch, Gating, Routing};
use hewn_kernels::op::rope::Pairing;

pub(super) const ARCH: Arch = Arch {
    name: "llama",
    pairing: Pairing::Neighbours,
    experts: Some(Routing { always: false, dense_width: true, gating: Gating::Softmax, normalize: true }),
    ..Arch::PLAIN
};
