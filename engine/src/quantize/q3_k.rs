//! Q3_K, 256 weights in 110 bytes: the third bits of the integers (byte `l`, bit `b`: weight `32 b + l`), their lower two
//! bits as in Q2_K, 16 six-bit scales, `d` as f16; weight = d (scale - 32) (q - 4), in groups of 16. Of the scales, the
//! lower four bits of `g` and `g + 8` share byte `g`, and the upper two of `g`, `g + 4`, `g + 8`, `g + 12` byte `8 + g`.

use super::q2_k::two_bits;
use super::{Encode, HALF_MAX, half_bytes, symmetric};
use hewn_kernels::CpuIsa;

pub(super) struct Q3K;

impl Encode for Q3K {
    fn id(&self) -> u32 {
        11
    }

    fn limit(&self) -> f32 {
        HALF_MAX
    }

    fn block(&self, isa: CpuIsa, x: &[f32], out: &mut [u8]) {
        let b = symmetric::encode(isa, x, 4, 32);
        let q = |i: usize| (b.q[i] + 4) as u8;
        for (l, byte) in out[..32].iter_mut().enumerate() {
            *byte = (0..8).fold(0, |all, bit| all | (q(32 * bit + l) >> 2) << bit);
        }
        two_bits(q, &mut out[32..96]);
        let scale = |g: usize| (b.scale[g] + 32) as u8;
        for g in 0..8 {
            out[96 + g] = scale(g) & 15 | scale(g + 8) << 4;
        }
        for g in 0..4 {
            out[104 + g] = (0..4).fold(0, |all, j| all | (scale(g + 4 * j) >> 4) << (2 * j));
        }
        out[108..].copy_from_slice(&half_bytes(b.d));
    }
}
