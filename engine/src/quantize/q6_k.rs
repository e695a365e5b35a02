//! Q6_K, 256 weights in 210 bytes: the lower four bits of the integers, their upper two (as in Q2_K), 16 signed bytes of
//! scales, `d` as f16; weight = d scale (q - 32), in groups of 16. Byte `64 h + l` of the lower bits holds weights
//! `128 h + l` and `128 h + 64 + l`.

use super::q2_k::two_bits;
use super::{Encode, HALF_MAX, half_bytes, symmetric};
use hewn_kernels::CpuIsa;

pub(super) struct Q6K;

impl Encode for Q6K {
    fn id(&self) -> u32 {
        14
    }

    fn limit(&self) -> f32 {
        HALF_MAX
    }

    fn block(&self, isa: CpuIsa, x: &[f32], out: &mut [u8]) {
        let b = symmetric::encode(isa, x, 32, 128);
        let q = |i: usize| (b.q[i] + 32) as u8;
        for (i, byte) in out[..128].iter_mut().enumerate() {
            let first = i / 64 * 128 + i % 64;
            *byte = q(first) & 15 | q(first + 64) << 4;
        }
        two_bits(|i| q(i) >> 4, &mut out[128..192]);
        for (byte, scale) in out[192..208].iter_mut().zip(b.scale) {
            *byte = scale as u8;
        }
        out[208..].copy_from_slice(&half_bytes(b.d));
    }
}
