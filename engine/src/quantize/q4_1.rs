//! Q4_1: `d` and `m` as f16, then 32 four-bit integers; weight = d q + m.

use super::{Encode, HALF_MAX, half_bytes, inverse, truncated};
use hewn_kernels::CpuIsa;

pub(super) struct Q4_1;

/// The smallest and the largest.
pub(super) fn range(x: &[f32]) -> [f32; 2] {
    x.iter().fold([x[0]; 2], |[lo, hi], v| [if *v < lo { *v } else { lo }, if *v > hi { *v } else { hi }])
}

impl Encode for Q4_1 {
    fn id(&self) -> u32 {
        3
    }

    fn limit(&self) -> f32 {
        HALF_MAX
    }

    fn block(&self, _isa: CpuIsa, x: &[f32], out: &mut [u8]) {
        let [lo, hi] = range(x);
        let d = (hi - lo) / 15.0;
        let inv = inverse(d);
        let q = |v: f32| truncated((v - lo) * inv + 0.5).clamp(0, 15) as u8;
        out[..2].copy_from_slice(&half_bytes(d));
        out[2..4].copy_from_slice(&half_bytes(lo));
        for (b, (lo, hi)) in out[4..].iter_mut().zip(x[..16].iter().zip(&x[16..])) {
            *b = q(*lo) | q(*hi) << 4;
        }
    }
}
