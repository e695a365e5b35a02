//! `afmoe`: Arcee's Trinity. Norms before and after both parts, every query and key head is normed, a gate of its own for each
//! channel of the attention's output, three layers with a window for each that sees everything and does not turn queries and
//! keys; dense layers first, then experts of which some take every row.

use super::{Arch, Gating, HeadGates, HeadNorm, Norms, Routing};

pub(super) const ARCH: Arch = Arch {
    name: "afmoe",
    norms: Norms::AROUND,
    head_norm: HeadNorm::Each,
    gated_heads: HeadGates::Apart,
    experts: Some(Routing { always: true, dense_width: false, gating: Gating::Sigmoid, normalize: false }),
    full_every: Some(4),
    unturned_full: true,
    embed_by_width: true,
    needs: &["attention.sliding_window"],
    ..Arch::PLAIN
};
