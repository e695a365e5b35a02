//! F32: as they are.

use super::Encode;
use hewn_kernels::CpuIsa;

pub(super) struct F32;

impl Encode for F32 {
    fn id(&self) -> u32 {
        0
    }

    fn limit(&self) -> f32 {
        f32::MAX
    }

    fn block(&self, _isa: CpuIsa, x: &[f32], out: &mut [u8]) {
        out.copy_from_slice(&x[0].to_le_bytes());
    }
}
