//! `jais`: Jais and the Jais family, Arabic and English. The further a position is, the less its score counts, and nothing is
//! turned; scores are divided by a head's channels. Layer norms and projections with biases.

use super::{Arch, Leaning, NormKind};

pub(super) const ARCH: Arch = Arch {
    name: "jais",
    norm: NormKind::Layer,
    scale_by_channels: true,
    leaning: Leaning::Said,
    unturned: true,
    needs: &["attention.max_alibi_bias"],
    ..Arch::PLAIN
};
