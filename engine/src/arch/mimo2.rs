//! `mimo2`: Xiaomi's MiMo V2. Layers with a window have sinks, key/value heads and rotary frequencies of their own; a part of
//! a head's channels is turned, and values are narrower than keys. A dense layer first, then experts.

use super::{Arch, Gating, LocalRope, Routing, Sinks};

pub(super) const ARCH: Arch = Arch {
    name: "mimo2",
    sinks: Sinks::IfThere,
    varied: true,
    local_rope: Some(LocalRope { base: None }),
    experts: Some(Routing { always: true, dense_width: false, gating: Gating::Sigmoid, normalize: true }),
    routers_tell: true,
    needs: &["attention.sliding_window", "attention.sliding_window_pattern"],
    ..Arch::PLAIN
};
