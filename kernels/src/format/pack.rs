//! From the file's layout to the packed tile: bytes are moved, nothing is computed.

use super::{Quant, Section, TILE_ROWS};

/// Regroups up to 16 rows (`rows[j]` is row `j` in file layout, all of equal length; missing rows become zero bytes)
/// into `out`: one packed block after the other. `out` is `16 *` the row's length.
pub fn pack_tile<Q: Quant>(rows: &[&[u8]], out: &mut [u8]) {
    for (b, out) in out.chunks_exact_mut(Q::PACKED).enumerate() {
        let blocks: [Option<&[u8]>; TILE_ROWS] =
            std::array::from_fn(|j| rows.get(j).map(|r| &r[b * Q::BYTES..(b + 1) * Q::BYTES]));
        match blocks.iter().all(Option::is_some) {
            true => pack_block::<Q>(&blocks.map(|b| b.unwrap_or(&[])), out),
            false => pack_partial::<Q>(&blocks, out),
        }
    }
}

fn pack_partial<Q: Quant>(blocks: &[Option<&[u8]>; TILE_ROWS], out: &mut [u8]) {
    // No format has a block above 512 bytes.
    let zero = [0u8; 512];
    pack_block::<Q>(&blocks.map(|b| b.unwrap_or(&zero[..Q::BYTES])), out);
}

#[inline(always)]
fn pack_block<Q: Quant>(blocks: &[&[u8]; TILE_ROWS], out: &mut [u8]) {
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
                let dst = &mut out[at..at + 64 * n];
                for (j, b) in blocks.iter().enumerate() {
                    let src = b[from..from + 4 * n].as_chunks::<4>().0;
                    for (w, word) in src.iter().enumerate() {
                        dst[w * 64 + 4 * j..][..4].copy_from_slice(word);
                    }
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
