//! MXFP4 (OCP microscaling): 32 weights of four bits (E2M1) under a power of two (E8M0, one byte); low nibbles are
//! weights 0..16, high ones 16..32.

use super::{Canon, Lanes, Quant, Section, Stored, nibbles, words};
use crate::isa::Isa;

/// `e: u8, qs: [u8; 16]`; weight = 2^(e - 128) value.
pub struct Mxfp4;

/// Twice the values of E2M1, sign bit last, and the zero point.
pub(super) const VALUES: [u8; 16] = [16, 17, 18, 19, 20, 22, 24, 28, 16, 15, 14, 13, 12, 10, 8, 4];

impl Quant for Mxfp4 {
    type Form = Stored<5, 16, false, false>;
    const BLOCK: usize = 32;
    const BYTES: usize = 17;
    const PLAN: &'static [Section] = &[Section::Exponent(0), Section::Words { at: 1, n: 4 }];

    #[inline(always)]
    fn decode(b: &[u8], _: usize) -> Canon {
        let q = std::array::from_fn(|k| {
            let byte = b[1 + k % 16];
            VALUES[usize::from(if k < 16 { byte & 15 } else { byte >> 4 })] as i8 - 16
        });
        // Two factors, because 2^-127 and 2^-128 have no exponent bits of their own.
        let power = |e: u8| f32::from_bits((u32::from(e) + 63) << 23);
        Canon::new(q, power(b[0] / 2) * power(b[0] - b[0] / 2))
    }

    #[inline(always)]
    fn sub<S: Isa>(s: S, b: &[u8], _: usize) -> Lanes<S> {
        let w = eight!(s, g => s.b_lookup(&VALUES, nibbles(s, words(s, b, 16, g % 4), g >= 4)));
        let e = s.i_load_u8(b[..16].first_chunk().expect("16 bytes"));
        let (half, bias) = (s.i_shr(e, 1), s.i_splat(63));
        let low = s.i_as_f(s.i_shl(s.i_add(half, bias), 23));
        let high = s.i_as_f(s.i_shl(s.i_add(s.i_sub(e, half), bias), 23));
        Lanes::new(s, w, s.f_mul(low, high))
    }
}
