//! BF16: the upper half of an f32.

use super::{Float, float::sixteen_u16};
use crate::isa::Isa;

/// The format's type.
pub struct Bf16;

impl Float for Bf16 {
    const BYTES: usize = 2;

    #[inline(always)]
    fn decode(b: &[u8]) -> f32 {
        f32::from_bits(u32::from(u16::from_le_bytes([b[0], b[1]])) << 16)
    }

    #[inline(always)]
    fn load<S: Isa>(s: S, bytes: &[u8]) -> S::F {
        let mut wide = [0.0; 16];
        for (o, b) in wide.iter_mut().zip(sixteen_u16(bytes)) {
            *o = f32::from_bits(u32::from(b) << 16);
        }
        s.f_load(&wide)
    }
}
