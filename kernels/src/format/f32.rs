//! F32: 4-byte IEEE numbers.

use super::Float;
use crate::isa::Isa;

/// The format's type.
pub struct F32;

impl Float for F32 {
    const BYTES: usize = 4;

    #[inline(always)]
    fn decode(b: &[u8]) -> f32 {
        f32::from_le_bytes([b[0], b[1], b[2], b[3]])
    }

    #[inline(always)]
    fn load<S: Isa>(s: S, bytes: &[u8]) -> S::F {
        s.i_as_f(s.i_load(bytes.first_chunk().expect("64 bytes")))
    }
}
