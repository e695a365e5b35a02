//! `hrm_text`: hierarchical reasoning models of text. Two stacks of layers run in cycles, each on the sum of two streams, one of
//! which it replaces; norms have no weights, and heads a gate for each channel.

use super::{Arch, HeadGates};

pub(super) const ARCH: Arch =
    Arch { name: "hrm_text", norms_unweighted: true, gated_heads: HeadGates::Apart, cycled: true, ..Arch::PLAIN };
