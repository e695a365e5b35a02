//! `stablelm`: Stability AI's StableLM 3B and StableLM 2. Layer norms with biases, part of a head's channels is turned. The model
//! of 12 billion weights has attention and feed-forward part side by side, of one input, and norms each query and key head
//! with weights of its own.

use super::{Arch, HeadNorm, NormKind, Parallel};

pub(super) const ARCH: Arch = Arch {
    name: "stablelm",
    norm: NormKind::Layer,
    head_norm: HeadNorm::Own(NormKind::Layer),
    parallel: Parallel::Unnormed,
    ..Arch::PLAIN
};
