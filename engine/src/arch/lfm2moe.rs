//! `lfm2moe`: LFM 2 with experts (8B-A1B, 24B-A2B), chosen by the logistic function of their scores with a bias; the first
//! layers are dense.

use super::{Arch, Gating, Routing, lfm2};

pub(super) const ARCH: Arch = Arch {
    name: "lfm2moe",
    experts: Some(Routing { always: true, dense_width: false, gating: Gating::Sigmoid, normalize: true }),
    ..lfm2::ARCH
};
