//! `talkie`: Talkie 13B. Norms without weights, of the embedding too; heads are normed after they are turned, with a number for
//! each query head, and every layer adds the embedding again.

use super::{Arch, HeadNorm};

pub(super) const ARCH: Arch = Arch {
    name: "talkie",
    norms_unweighted: true,
    embed_evened: true,
    embed_again: true,
    head_norm: HeadNorm::Gains,
    norm_turned: true,
    needs: &["logit_scale"],
    ..Arch::PLAIN
};
