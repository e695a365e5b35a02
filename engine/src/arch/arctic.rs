//! `arctic`: Snowflake's Arctic. Every layer has experts that read the stream as it comes into the layer, beside attention and a
//! dense part.

use super::{Arch, Gating, Routing};
use hewn_kernels::op::rope::Pairing;

pub(super) const ARCH: Arch = Arch {
    name: "arctic",
    pairing: Pairing::Neighbours,
    experts: Some(Routing { always: true, dense_width: true, gating: Gating::Softmax, normalize: true }),
    experts_ahead: true,
    ..Arch::PLAIN
};
