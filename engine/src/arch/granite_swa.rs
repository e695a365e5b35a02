//! `granite_swa`: IBM's Granite with windows, dense and mixtures. Every layer has sinks; files say which have a window, and
//! which turn queries and keys.

use super::{Arch, Gating, Routing, Sinks, granite};

pub(super) const ARCH: Arch = Arch {
    name: "granite_swa",
    sinks: Sinks::Always,
    experts: Some(Routing { always: false, dense_width: true, gating: Gating::Softmax, normalize: true }),
    turned_said: false,
    needs: &["logit_scale", "attention.sliding_window", "attention.sliding_window_pattern"],
    ..granite::ARCH
};
