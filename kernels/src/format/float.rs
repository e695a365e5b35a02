//! Formats that are plain numbers: products run over the row itself, sixteen virtual lanes over k.

use crate::isa::Isa;

/// A floating-point format.
pub trait Float: Send + Sync + 'static {
    /// Bytes of a number.
    const BYTES: usize;

    /// One number, exact.
    fn decode(bytes: &[u8]) -> f32;

    /// Sixteen consecutive numbers (`16 * BYTES` bytes), exact.
    fn load<S: Isa>(s: S, bytes: &[u8]) -> S::F;
}

/// Reads sixteen little-endian u16.
#[inline(always)]
pub(super) fn sixteen_u16(bytes: &[u8]) -> [u16; 16] {
    let mut bits = [0u16; 16];
    for (o, b) in bits.iter_mut().zip(bytes[..32].as_chunks::<2>().0) {
        *o = u16::from_le_bytes(*b);
    }
    bits
}
