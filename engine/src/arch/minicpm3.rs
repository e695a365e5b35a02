//! `minicpm3`: MiniCPM 3. Latent attention whose heads' keys and values are made of the latent; embeddings, contributions and
//! logits are scaled with numbers that files do not say.

use super::Arch;

pub(super) const ARCH: Arch = Arch {
    name: "minicpm3",
    latent: true,
    embed_scale: Some(12.0),
    depth_scale: Some(1.4),
    logit_width: Some(256.0),
    needs: &["attention.q_lora_rank"],
    ..Arch::PLAIN
};
