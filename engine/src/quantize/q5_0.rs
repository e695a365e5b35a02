//! Q5_0: `d` as f16, the fifth bits of 32 integers as u32, then their four lower bits; weight = d (q - 16). The weight of
//! largest magnitude becomes q = 0.

use super::{Encode, HALF_MAX, half_bytes, inverse, peak, truncated};
use hewn_kernels::CpuIsa;

pub(super) struct Q5_0;

/// Writes 32 five-bit integers: the fifth bits, then the others.
pub(super) fn five_bits(q: &[u8; 32], out: &mut [u8]) {
    let high = q.iter().enumerate().fold(0u32, |all, (i, q)| all | u32::from(q >> 4) << i);
    out[..4].copy_from_slice(&high.to_le_bytes());
    for (i, b) in out[4..].iter_mut().enumerate() {
        *b = q[i] & 15 | q[i + 16] << 4;
    }
}

impl Encode for Q5_0 {
    fn id(&self) -> u32 {
        6
    }

    fn limit(&self) -> f32 {
        16.0 * HALF_MAX
    }

    fn block(&self, _isa: CpuIsa, x: &[f32], out: &mut [u8]) {
        let d = peak(x) / -16.0;
        let inv = inverse(d);
        let mut q = [0; 32];
        for (q, v) in q.iter_mut().zip(x) {
            *q = truncated(v * inv + 16.5).clamp(0, 31) as u8;
        }
        out[..2].copy_from_slice(&half_bytes(d));
        five_bits(&q, &mut out[2..]);
    }
}
