//! Q5_1: `d` and `m` as f16, the fifth bits of 32 integers as u32, then their four lower bits; weight = d q + m.

use super::q4_1::range;
use super::q5_0::five_bits;
use super::{Encode, HALF_MAX, half_bytes, inverse, truncated};
use hewn_kernels::CpuIsa;

pub(super) struct Q5_1;

impl Encode for Q5_1 {
    fn id(&self) -> u32 {
        7
    }

    fn limit(&self) -> f32 {
        HALF_MAX
    }

    fn block(&self, _isa: CpuIsa, x: &[f32], out: &mut [u8]) {
        let [lo, hi] = range(x);
        let d = (hi - lo) / 31.0;
        let inv = inverse(d);
        let mut q = [0; 32];
        for (q, v) in q.iter_mut().zip(x) {
            *q = truncated((v - lo) * inv + 0.5).clamp(0, 31) as u8;
        }
        out[..2].copy_from_slice(&half_bytes(d));
        out[2..4].copy_from_slice(&half_bytes(lo));
        five_bits(&q, &mut out[4..]);
    }
}
