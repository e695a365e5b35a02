//! NEON with `dotprod` (most CPUs since 2018): four byte products a lane are one instruction.

use super::aarch64::{simd, token};
use super::lanes128::{bytes, four, lanes128, narrow, prefetch, quads, widen, words};
use super::sdot::{sdot, sdot_products, sdot_tiles};
use super::{Isa, Kernel, Words};
use std::arch::aarch64::*;

token! {
    /// Proof that the CPU has NEON and its dot products.
    NeonDotprod: ["neon" "dotprod"]
}

impl From<super::neon_i8mm::NeonI8mm> for NeonDotprod {
    /// Products of matrices come on top of the same features.
    fn from(_: super::neon_i8mm::NeonI8mm) -> Self {
        Self(())
    }
}

impl Isa for NeonDotprod {
    lanes128!();
    sdot_products!();
}
