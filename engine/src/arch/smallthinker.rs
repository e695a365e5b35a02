//! `smallthinker`: PowerInfer's SmallThinker. Experts are chosen before the attention, so that their weights can be fetched
//! meanwhile, and what is above 0 passes their gates. The larger model has three layers with a window behind each that sees
//! everything, and the latter do not turn queries and keys.

use super::{Arch, Gating, Routing};
use hewn_kernels::op::activation::Activation;

pub(super) const ARCH: Arch = Arch {
    name: "smallthinker",
    activation: Activation::Relu,
    experts: Some(Routing { always: true, dense_width: true, gating: Gating::Sigmoid, normalize: true }),
    early_choice: true,
    full_every: Some(4),
    full_first: true,
    unturned_full: true,
    needs: &["expert_gating_func"],
    ..Arch::PLAIN
};
