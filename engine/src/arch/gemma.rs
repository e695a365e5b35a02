//! `gemma`: the first Gemma. Embeddings are scaled, the gate is a Gaussian error linear unit. (Files hold the weights of
//! norms with the 1 added that the model adds.)

use super::Arch;
use hewn_kernels::op::activation::Activation;

pub(super) const ARCH: Arch = Arch { name: "gemma", activation: Activation::Gelu, embed_by_width: true, ..Arch::PLAIN };
