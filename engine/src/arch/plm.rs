//! `plm`: PLM 1.8B. Latent attention whose heads' keys and values are made of the latent; the feed-forward part squares what is
//! above 0.

use super::Arch;
use hewn_kernels::op::activation::Activation;
use hewn_kernels::op::rope::Pairing;

pub(super) const ARCH: Arch = Arch {
    name: "plm",
    pairing: Pairing::Neighbours,
    latent: true,
    gated: false,
    activation: Activation::ReluSquared,
    ..Arch::PLAIN
};
