//! `llama4`: Llama 4 Scout and Maverick, of which the files hold the text half. Three layers that see a chunk of positions for
//! each that sees everything; the latter do not turn queries and keys but let queries grow with their position. In Scout,
//! turned heads are normed without weights. An expert is chosen by its score, whose logistic function its input is multiplied
//! with, and another takes every row; in Maverick every other layer is dense.

use super::{Arch, Gating, HeadNorm, Routing, Temperature};
use hewn_kernels::op::rope::Pairing;

pub(super) const ARCH: Arch = Arch {
    name: "llama4",
    pairing: Pairing::Neighbours,
    // Maverick has so many experts.
    head_norm: HeadNorm::TurnedUnless(128),
    norm_turned: true,
    experts: Some(Routing { always: true, dense_width: false, gating: Gating::SigmoidOfChosen, normalize: false }),
    weighed_input: true,
    one_shared: true,
    interleaved: true,
    window: Some(8192),
    chunked: true,
    full_every: Some(4),
    unturned_full: true,
    temperature: Some(Temperature { scale: 0.1, every: 8192 }),
    needs: &["interleave_moe_layer_step"],
    ..Arch::PLAIN
};
