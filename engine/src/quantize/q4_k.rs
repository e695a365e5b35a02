//! Q4_K, 256 weights in 144 bytes: `d` and `dmin` as f16, eight pairs of six-bit scale and offset in 12 bytes, four-bit
//! integers; weight = d scale q - dmin offset, in groups of 32. Byte `32 p + l` of the integers holds weights `64 p + l`
//! and `64 p + 32 + l`.

use super::affine::{self, Affine};
use super::{Encode, HALF_MAX, half_bytes};
use hewn_kernels::CpuIsa;

pub(super) struct Q4K;

impl Encode for Q4K {
    fn id(&self) -> u32 {
        12
    }

    fn limit(&self) -> f32 {
        HALF_MAX
    }

    fn block(&self, isa: CpuIsa, x: &[f32], out: &mut [u8]) {
        let b = affine::encode::<2>(isa, x, 15, 63);
        head(&b, out);
        for (i, byte) in out[16..].iter_mut().enumerate() {
            let first = i / 32 * 64 + i % 32;
            *byte = (b.q[first] | b.q[first + 32] << 4) as u8;
        }
    }
}

/// `d`, `dmin`, scales and offsets: those of the groups 0 to 3 in the lower six bits of bytes 0 to 7; of the others, the
/// lower four bits in bytes 8 to 11, the upper two at the top of bytes 0 to 7.
pub(super) fn head(b: &Affine, out: &mut [u8]) {
    out[..2].copy_from_slice(&half_bytes(b.d));
    out[2..4].copy_from_slice(&half_bytes(b.dmin));
    for g in 0..4 {
        let (scale, offset) = (b.scale[g + 4], b.offset[g + 4]);
        out[4 + g] = b.scale[g] | scale >> 4 << 6;
        out[8 + g] = b.offset[g] | offset >> 4 << 6;
        out[12 + g] = scale & 15 | offset << 4;
    }
}
