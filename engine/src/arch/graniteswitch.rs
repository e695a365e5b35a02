//! `graniteswitch`: IBM's Granite Switch. As `granite`, with low-rank adapters of every projection: a control token switches
//! one on for what follows.

use super::{Arch, granite};

pub(super) const ARCH: Arch = Arch {
    name: "graniteswitch",
    adapters: true,
    needs: &["logit_scale", "adapters.count", "adapters.lora_rank"],
    ..granite::ARCH
};
