//! From the file's layout to the packed tile: bytes are moved, nothing is computed.

use super::{Quant, Section, TileRows};
use crate::isa::{Isa, each, each16};

/// Regroups 16 rows in file layout into `out`, as long as all of them: one packed block after the other.
#[inline(always)]
pub fn pack_tile<S: Isa, Q: Quant>(s: S, rows: &TileRows<'_>, out: &mut [u8]) {
    for (b, out) in out.chunks_exact_mut(Q::PACKED).enumerate() {
        pack_block::<S, Q>(s, rows, b, out);
    }
}

/// Regroups block `b` of 16 rows into the `PACKED` bytes of `out`.
#[inline(always)]
pub fn pack_block<S: Isa, Q: Quant>(s: S, rows: &TileRows<'_>, b: usize, out: &mut [u8]) {
    let block = b * Q::BYTES;
    let mut at = 0;
    for section in Q::PLAN {
        match *section {
            Section::Half(from) | Section::Short(from) => {
                let src = rows.at::<2>(block + from);
                let mut fours = [0u64; 4];
                each!(4, i => {
                    each!(4, j => { fours[i] |= u64::from(u16::from_le_bytes(*src[4 * i + j])) << (16 * j); });
                });
                s.store_fours((&mut out[at..at + 32]).try_into().expect("32 bytes"), fours);
                at += 32;
            }
            Section::Exponent(from) => {
                let src = rows.at::<1>(block + from);
                each16!(j => { out[at + j] = src[j][0]; });
                at += 16;
            }
            Section::Words { at: from, n } => {
                let dst = out[at..at + 64 * n].as_chunks_mut::<64>().0;
                let (fours, rest) = dst.as_chunks_mut::<4>();
                let mut from = block + from;
                for four in fours {
                    let words = s.i_transpose(&rows.at::<16>(from));
                    each!(4, i => { s.i_store(&mut four[i], words[i]); });
                    from += 16;
                }
                for one in rest {
                    let (one, src) = (one.as_chunks_mut::<4>().0, rows.at::<4>(from));
                    each16!(j => { one[j] = *src[j]; });
                    from += 4;
                }
                at += 64 * n;
            }
            Section::Bits(from) => {
                let dst = out[at..at + 64].as_chunks_mut::<4>().0;
                let src = rows.at::<4>(block + from);
                each16!(j => { dst[j] = spread(u32::from_le_bytes(*src[j])).to_le_bytes(); });
                at += 64;
            }
        }
    }
}

/// Moves bit `4 g + t` to bit `8 t + g`: the transpose of an 8 x 4 bit matrix.
#[inline(always)]
fn spread(v: u32) -> u32 {
    let mut out = 0;
    for t in 0..4 {
        // Bits t, t+4, t+8, ... sit 4 apart; gather them into one byte.
        let mut x = (v >> t) & 0x1111_1111;
        x = (x | x >> 3) & 0x0303_0303;
        x = (x | x >> 6) & 0x000f_000f;
        x = (x | x >> 12) & 0xff;
        out |= x << (8 * t);
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn spread_is_the_bit_transpose() {
        for i in 0..32u32 {
            assert_eq!(super::spread(1 << i), 1 << (8 * (i % 4) + i / 4), "bit {i}");
        }
        assert_eq!(super::spread(0xffff_ffff), 0xffff_ffff);
    }
}
