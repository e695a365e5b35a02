//! `minicpm`: MiniCPM 1, 2 and 4. As `llama`, with embeddings, contributions and logits scaled as the file says; the oldest
//! files do not say it.

use super::Arch;
use hewn_kernels::op::rope::Pairing;

pub(super) const ARCH: Arch = Arch {
    name: "minicpm",
    pairing: Pairing::Neighbours,
    logits_divided: true,
    needs: &["embedding_scale", "residual_scale", "logit_scale"],
    ..Arch::PLAIN
};
