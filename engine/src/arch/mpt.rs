//! `mpt`: MPT, Replit's models, and SEA-LION. The further a position is, the less its score counts, or each position has a row
//! that is added to the embedding; layer norms mostly without biases, no gate. Some bound queries, keys and values, some norm
//! queries and keys.

use super::{Arch, HeadNorm, Leaning, NormKind};
use hewn_kernels::op::activation::Activation;

pub(super) const ARCH: Arch = Arch {
    name: "mpt",
    norm: NormKind::Layer,
    head_norm: HeadNorm::WholeLayer,
    gated: false,
    activation: Activation::Gelu,
    positions_if_there: true,
    leaning: Leaning::Said,
    unturned: true,
    ..Arch::PLAIN
};
