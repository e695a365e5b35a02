//! `baichuan`: Baichuan and Baichuan 2, 7B and 13B. The 13B models, whose files differ in the number of layers only, do not turn
//! queries and keys: the further a position is, the less its score counts there.

use super::{Arch, Leaning};
use hewn_kernels::op::rope::Pairing;

pub(super) const ARCH: Arch = Arch {
    name: "baichuan",
    pairing: Pairing::Neighbours,
    only_layers: &[32, 40],
    leaning: Leaning::WithLayers(40, 8.0),
    ..Arch::PLAIN
};
