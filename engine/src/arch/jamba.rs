//! `jamba`: AI21's Jamba. State spaces of the first Mamba in most layers, attention without positions in the others; of some
//! models every second layer has experts.

use super::{Arch, Gating, Recurrence, Routing};

pub(super) const ARCH: Arch = Arch {
    name: "jamba",
    recurrence: Some(Recurrence::Selective { weighed_norms: true }),
    experts: Some(Routing { always: false, dense_width: true, gating: Gating::Softmax, normalize: false }),
    routers_tell: true,
    unturned: true,
    ..Arch::PLAIN
};
