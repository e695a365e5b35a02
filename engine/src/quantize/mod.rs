//! Quantizing: a GGUF file's matrices into smaller number formats.
//!
//! [`QuantType`] names what people know (`Q4_K_M`), `rules` says which format each tensor gets, `write` streams the
//! tensors through. A format is one file with an [`Encode`]; the simple ones give the very bits of the reference
//! implementation (PyPI's `gguf`), those with 256 weights a block search for scales themselves: `affine` and
//! `symmetric`, on the least-squares steps of `search`.
//!
//! A file is the same on every machine and with any number of threads: the searches fix the order of their sums as the
//! kernels do.

mod error;
mod rules;
mod write;

// Loops over groups and registers index several arrays alike, as in kernels.
#[allow(clippy::needless_range_loop)]
mod affine;
#[allow(clippy::needless_range_loop)]
mod search;
#[allow(clippy::needless_range_loop)]
mod symmetric;

mod bf16;
mod f16;
mod f32;
mod q2_k;
mod q3_k;
mod q4_0;
mod q4_1;
mod q4_k;
mod q5_0;
mod q5_1;
mod q5_k;
mod q6_k;
mod q8_0;

#[cfg(test)]
mod tests;

use hewn_kernels::CpuIsa;

pub use error::QuantizeError;
#[cfg(test)]
pub(crate) use rules::choose;
pub use rules::{Choice, QuantType};
pub(crate) use rules::{Facts, format_of};
pub use write::{QuantizeOptions, QuantizeProgress, QuantizeReport, quantize};

/// A number format that weights can be encoded in.
pub trait Encode: Sync {
    /// The format's id in GGUF files.
    fn id(&self) -> u32;

    /// The largest magnitude that the format can hold: beyond it, a scale would become infinite.
    fn limit(&self) -> f32;

    /// Encodes one block of finite weights within the limit. `x` and `out` have the format's block length and bytes. The
    /// instruction set changes nothing but the time it takes.
    fn block(&self, isa: CpuIsa, x: &[f32], out: &mut [u8]);
}

/// The largest f32 that rounds to a finite f16.
const HALF_MAX: f32 = 65519.996;

/// Every format that can be made.
static ALL: [&dyn Encode; 13] = [
    &f32::F32,
    &f16::F16,
    &bf16::Bf16,
    &q4_0::Q4_0,
    &q4_1::Q4_1,
    &q5_0::Q5_0,
    &q5_1::Q5_1,
    &q8_0::Q8_0,
    &q2_k::Q2K,
    &q3_k::Q3K,
    &q4_k::Q4K,
    &q5_k::Q5K,
    &q6_k::Q6K,
];

/// The encoder of the format with this GGUF id, where there is one.
pub fn encoder(id: u32) -> Option<&'static dyn Encode> {
    ALL.into_iter().find(|e| e.id() == id)
}

/// The first element of largest magnitude, with its sign.
fn peak(x: &[f32]) -> f32 {
    x.iter().fold(0.0, |best: f32, v| if v.abs() > best.abs() { *v } else { best })
}

/// `1 / d`, and 0 for 0.
fn inverse(d: f32) -> f32 {
    if d == 0.0 { 0.0 } else { 1.0 / d }
}

/// A number to the integer below, as the reference does it: where a scale is so small that its inverse is infinite, 0.
fn truncated(v: f32) -> i32 {
    if v.is_finite() { v as i32 } else { 0 }
}

/// `v` as f16 bytes.
fn half_bytes(v: f32) -> [u8; 2] {
    half::f16::from_f32(v).to_le_bytes()
}

/// `v` rounded to f16.
fn to_half(v: f32) -> f32 {
    half::f16::from_f32(v).to_f32()
}
