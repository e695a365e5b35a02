//! From the file's layout to the packed tile: bytes are moved, nothing is computed.

use super::{Quant, Section, TILE_ROWS};
use crate::isa::Isa;

/// Regroups up to 16 rows (`rows[j]` is row `j` in file layout, all of equal length; missing rows become zero bytes)
/// into `out`: one packed block after the other. `out` is `16 *` the row's length.
///
/// The bytes behind the last row are asked for on the way: in a file they are the next tile.
#[inline(always)]
pub fn pack_tile<S: Isa, Q: Quant>(s: S, rows: &[&[u8]], out: &mut [u8]) {
    // No format has a block above 512 bytes.
    let zero = [0u8; 512];
    let next = rows.last().map_or(zero.as_ptr(), |r| r.as_ptr_range().end);
    for (b, out) in out.chunks_exact_mut(Q::PACKED).enumerate() {
        for line in (0..Q::PACKED).step_by(64) {
            s.prefetch(next.wrapping_add(b * Q::PACKED + line));
        }
        let mut blocks = [&zero[..Q::BYTES]; TILE_ROWS];
        for (block, row) in blocks.iter_mut().zip(rows) {
            *block = &row[b * Q::BYTES..(b + 1) * Q::BYTES];
        }
        pack_block::<S, Q>(s, &blocks, out);
    }
}

#[inline(always)]
fn pack_block<S: Isa, Q: Quant>(s: S, blocks: &[&[u8]; TILE_ROWS], out: &mut [u8]) {
    let mut at = 0;
    for section in Q::PLAN {
        match *section {
            Section::Half(from) => {
                let dst = &mut out[at..at + 32];
                for (d, b) in dst.as_chunks_mut::<2>().0.iter_mut().zip(blocks) {
                    *d = [b[from], b[from + 1]];
                }
                at += 32;
            }
            Section::Words { at: from, n } => {
                let dst = out[at..at + 64 * n].as_chunks_mut::<64>().0;
                let mut fours = dst.chunks_exact_mut(4);
                let mut w = 0;
                for four in &mut fours {
                    let mut rows = [&[0u8; 16]; TILE_ROWS];
                    for (row, b) in rows.iter_mut().zip(blocks) {
                        *row = b[from + 4 * w..].first_chunk().expect("four words");
                    }
                    let words = s.i_transpose(&rows);
                    for i in 0..4 {
                        s.i_store(&mut four[i], words[i]);
                    }
                    w += 4;
                }
                for one in fours.into_remainder() {
                    for (d, b) in one.as_chunks_mut::<4>().0.iter_mut().zip(blocks) {
                        *d = *b[from + 4 * w..].first_chunk().expect("a word");
                    }
                    w += 1;
                }
                at += 64 * n;
            }
            Section::Bits(from) => {
                let dst = &mut out[at..at + 64];
                for (d, b) in dst.as_chunks_mut::<4>().0.iter_mut().zip(blocks) {
                    let bits = u32::from_le_bytes([b[from], b[from + 1], b[from + 2], b[from + 3]]);
                    *d = spread(bits).to_le_bytes();
                }
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
