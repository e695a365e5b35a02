//! Q2_K, 256 weights in 84 bytes: 16 pairs of four-bit scale and offset, two-bit integers, `d` and `dmin` as f16;
//! weight = d scale q - dmin offset, in groups of 16. Byte `32 h + l` of the integers holds weights `128 h + l + 32 j`
//! at bits `2 j`.

use super::{Encode, HALF_MAX, affine, half_bytes};
use hewn_kernels::CpuIsa;

pub(super) struct Q2K;

impl Encode for Q2K {
    fn id(&self) -> u32 {
        10
    }

    fn limit(&self) -> f32 {
        HALF_MAX
    }

    fn block(&self, isa: CpuIsa, x: &[f32], out: &mut [u8]) {
        let b = affine::encode::<1>(isa, x, 3, 15);
        for (byte, (scale, offset)) in out[..16].iter_mut().zip(b.scale.iter().zip(b.offset)) {
            *byte = scale | offset << 4;
        }
        two_bits(|i| b.q[i] as u8, &mut out[16..80]);
        out[80..82].copy_from_slice(&half_bytes(b.d));
        out[82..].copy_from_slice(&half_bytes(b.dmin));
    }
}

/// Writes the lower two bits of 256 integers.
pub(super) fn two_bits(q: impl Fn(usize) -> u8, out: &mut [u8]) {
    for (i, b) in out.iter_mut().enumerate() {
        let first = i / 32 * 128 + i % 32;
        *b = (0..4).fold(0, |all, j| all | (q(first + 32 * j) & 3) << (2 * j));
    }
}
