//! NVFP4: 64 weights of four bits (E2M1, as in MXFP4), 16 of which share a scale of 8 bits (unsigned E4M3).
//!
//! Of each 16 weights, low nibbles are the first eight, high ones the others. The scales are no integers, so the sum of
//! a sub-block of 32 is rounded once when its halves are put together; [`Form::HALVES`](super::Form::HALVES) says how.

use super::mxfp4::VALUES;
use super::{Canon, Lanes, Quant, Section, Stored, field, nibbles, words};
use crate::isa::Isa;

/// `d: [u8; 4], qs: [u8; 32]`; weight = d / 2 value.
pub struct Nvfp4;

/// 2^119: what the bits of an E4M3, moved to where an f32 has its exponent and mantissa, lack by; and the half.
const LIFT: f32 = f32::from_bits((119 + 127) << 23);

impl Quant for Nvfp4 {
    type Form = Stored<5, 16, true, false>;
    const BLOCK: usize = 64;
    const BYTES: usize = 36;
    const PLAN: &'static [Section] = &[Section::Words { at: 0, n: 1 }, Section::Words { at: 4, n: 8 }];

    fn write_scales(block: &mut [u8], next: &mut dyn FnMut() -> f32) {
        for scale in &mut block[..4] {
            // The largest scale that is not above, of those that are numbers.
            let bits = (next().abs().min(224.0) / LIFT).to_bits() >> 20;
            *scale = bits.min(0x7e) as u8;
        }
    }

    #[inline(always)]
    fn decode(b: &[u8], i: usize) -> Canon {
        let q = std::array::from_fn(|k| {
            let byte = b[4 + 16 * i + k / 16 * 8 + k % 8];
            VALUES[usize::from(if k % 16 < 8 { byte & 15 } else { byte >> 4 })] as i8 - 16
        });
        // 0x7f is no number: it counts as zero.
        let half = [b[2 * i], b[2 * i + 1]].map(|d| match d {
            0x7f => 0.0,
            _ => f32::from_bits(u32::from(d & 0x7f) << 20) * LIFT,
        });
        Canon { half, ..Canon::new(q, 1.0) }
    }

    #[inline(always)]
    fn sub<S: Isa>(s: S, b: &[u8], i: usize) -> Lanes<S> {
        let w = eight!(s, g => {
            let word = words(s, b, 64, 4 * i + 2 * (g / 4) + g % 2);
            s.b_lookup(&VALUES, nibbles(s, word, g % 4 >= 2))
        });
        let d = words(s, b, 0, 0);
        let half = [scale(s, d, 16 * i as u32), scale(s, d, 16 * i as u32 + 8)];
        Lanes { half, ..Lanes::new(s, w, s.f_splat(1.0)) }
    }
}

/// The scale in the byte at bit `at` of every lane.
#[inline(always)]
fn scale<S: Isa>(s: S, d: S::I, at: u32) -> S::F {
    // All ones but where the byte is 0x7f.
    let number = s.i_xor(field(s, d, at, 0, 0xff), s.i_splat(0x7f));
    let number = s.i_sar(s.i_sub(s.i_splat(0), number), 31);
    let bits = s.i_and(field(s, d, at, 7, 0x7f << 7), number);
    // A half lacks 2^8. As the bits of an f32, small scales would be denormal, on which CPUs take a detour at every product.
    s.f_mul(s.i_half(bits), s.f_splat(128.0))
}
