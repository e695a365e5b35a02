//! Q4_0: `d` as f16, then 32 four-bit integers; weight = d (q - 8). The weight of largest magnitude becomes q = 0.

use super::{Encode, HALF_MAX, half_bytes, inverse, peak, truncated};
use hewn_kernels::CpuIsa;

pub(super) struct Q4_0;

impl Encode for Q4_0 {
    fn id(&self) -> u32 {
        2
    }

    fn limit(&self) -> f32 {
        8.0 * HALF_MAX
    }

    fn block(&self, _isa: CpuIsa, x: &[f32], out: &mut [u8]) {
        let d = peak(x) / -8.0;
        let inv = inverse(d);
        let q = |v: f32| truncated(v * inv + 8.5).clamp(0, 15) as u8;
        out[..2].copy_from_slice(&half_bytes(d));
        for (b, (lo, hi)) in out[2..].iter_mut().zip(x[..16].iter().zip(&x[16..])) {
            *b = q(*lo) | q(*hi) << 4;
        }
    }
}
