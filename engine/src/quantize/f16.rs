//! F16: rounded to nearest, ties to even.

use super::{Encode, HALF_MAX, half_bytes};
use hewn_kernels::CpuIsa;

pub(super) struct F16;

impl Encode for F16 {
    fn id(&self) -> u32 {
        1
    }

    fn limit(&self) -> f32 {
        HALF_MAX
    }

    fn block(&self, _isa: CpuIsa, x: &[f32], out: &mut [u8]) {
        out.copy_from_slice(&half_bytes(x[0]));
    }
}
