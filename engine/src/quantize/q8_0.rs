//! Q8_0: `d` as f16, then 32 signed bytes; weight = d q. Rounded to nearest, halves away from zero.

use super::{Encode, HALF_MAX, half_bytes, inverse, peak, truncated};
use hewn_kernels::CpuIsa;

pub(super) struct Q8_0;

impl Encode for Q8_0 {
    fn id(&self) -> u32 {
        8
    }

    fn limit(&self) -> f32 {
        127.0 * HALF_MAX
    }

    fn block(&self, _isa: CpuIsa, x: &[f32], out: &mut [u8]) {
        let d = peak(x).abs() / 127.0;
        let inv = inverse(d);
        out[..2].copy_from_slice(&half_bytes(d));
        for (b, v) in out[2..].iter_mut().zip(x) {
            *b = truncated((v * inv).round()) as i8 as u8;
        }
    }
}
