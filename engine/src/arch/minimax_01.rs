//! `minimax-01`: MiniMax Text 01 and M1. Lightning attention, which keeps a matrix a head, in seven of eight layers; parts are
//! added to what they read. Every layer has experts.

use super::{Arch, Gating, Recurrence, Routing};

pub(super) const ARCH: Arch = Arch {
    name: "minimax-01",
    norms_stay: true,
    recurrence: Some(Recurrence::Lightning),
    experts: Some(Routing { always: true, dense_width: true, gating: Gating::Softmax, normalize: true }),
    needs: &["residual_scale"],
    ..Arch::PLAIN
};
