//! F16: 2-byte IEEE half floats.

use super::{Float, float::sixteen_u16};
use crate::isa::Isa;

/// The format's type.
pub struct F16;

impl Float for F16 {
    const BYTES: usize = 2;

    #[inline(always)]
    fn decode(b: &[u8]) -> f32 {
        super::half_at(b, 0)
    }

    #[inline(always)]
    fn load<S: Isa>(s: S, bytes: &[u8]) -> S::F {
        s.f_load_f16(&sixteen_u16(bytes))
    }
}
