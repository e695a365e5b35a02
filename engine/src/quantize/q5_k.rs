//! Q5_K, 256 weights in 176 bytes: as Q4_K, with the fifth bits between scales and integers (byte `l`, bit `b`: weight
//! `32 b + l`).

use super::{Encode, HALF_MAX, affine, q4_k};
use hewn_kernels::CpuIsa;

pub(super) struct Q5K;

impl Encode for Q5K {
    fn id(&self) -> u32 {
        13
    }

    fn limit(&self) -> f32 {
        HALF_MAX
    }

    fn block(&self, isa: CpuIsa, x: &[f32], out: &mut [u8]) {
        let b = affine::encode::<2>(isa, x, 31, 63);
        q4_k::head(&b, out);
        for (l, byte) in out[16..48].iter_mut().enumerate() {
            *byte = (0..8).fold(0, |all, bit| all | (b.q[32 * bit + l] as u8 >> 4) << bit);
        }
        for (i, byte) in out[48..].iter_mut().enumerate() {
            let first = i / 32 * 64 + i % 32;
            *byte = (b.q[first] & 15 | b.q[first + 32] << 4) as u8;
        }
    }
}
