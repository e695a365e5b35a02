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

/// Reads sixteen little-endian u16. In one piece: filled one by one, the array goes through memory in sixteen small
/// stores, and the register that is then loaded from it must wait for all of them.
#[inline(always)]
pub(super) fn sixteen_u16(bytes: &[u8]) -> [u16; 16] {
    let mut all: [u16; 16] = bytemuck::pod_read_unaligned(&bytes[..32]);
    if cfg!(target_endian = "big") {
        for v in &mut all {
            *v = u16::from_le(*v);
        }
    }
    all
}
