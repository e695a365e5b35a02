//! `granitehybrid`: Granite 4.0's hybrids (H). Most layers are state spaces, a few attend without turning positions; each has
//! a feed-forward part, dense or a mixture of experts with a shared one. Scales as in `granite`.

use super::{Arch, Gating, Recurrence, Routing, ScanLayout, granite};

pub(super) const ARCH: Arch = Arch {
    name: "granitehybrid",
    recurrence: Some(Recurrence::Scan(ScanLayout { beside_attention: false, normed: true })),
    experts: Some(Routing { always: false, dense_width: true, gating: Gating::Softmax, normalize: true }),
    ..granite::ARCH
};
