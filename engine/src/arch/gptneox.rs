//! `gptneox`: GPT-NeoX, Pythia, Dolly 2 and RedPajama. Layer norms and projections with biases, no gate, part of a head's
//! channels is turned. Files say whether attention and feed-forward part are side by side; each has a norm of its own.

use super::{Arch, NormKind, Parallel};
use hewn_kernels::op::activation::Activation;

pub(super) const ARCH: Arch = Arch {
    name: "gptneox",
    norm: NormKind::Layer,
    parallel: Parallel::Said,
    gated: false,
    activation: Activation::Gelu,
    needs: &["use_parallel_residual"],
    ..Arch::PLAIN
};
