//! `nomic-bert-moe`: nomic-embed-text 2. As `bert`, with rotary positions, and a mixture of experts in every second layer.

use super::{Arch, Gating, Routing, bert};

pub(super) const ARCH: Arch = Arch {
    name: "nomic-bert-moe",
    learned_positions: false,
    scoring: None,
    experts: Some(Routing { always: false, dense_width: true, gating: Gating::Softmax, normalize: false }),
    second_of_every: true,
    ..bert::ARCH
};
