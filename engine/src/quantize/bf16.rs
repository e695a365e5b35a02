//! BF16: rounded to nearest, ties to even.

use super::Encode;
use hewn_kernels::CpuIsa;

pub(super) struct Bf16;

impl Encode for Bf16 {
    fn id(&self) -> u32 {
        30
    }

    fn limit(&self) -> f32 {
        // Halfway from the largest number to the next: a tie, which would go up.
        f32::from_bits(0x7f7f_7fff)
    }

    fn block(&self, _isa: CpuIsa, x: &[f32], out: &mut [u8]) {
        out.copy_from_slice(&half::bf16::from_f32(x[0]).to_le_bytes());
    }
}
