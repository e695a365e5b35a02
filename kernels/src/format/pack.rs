//! From the file's layout to the packed tile: bytes are moved, nothing is computed.

use super::{Quant, Section, TileRows};
use crate::isa::{Isa, each, each16};

/// Regroups 16 rows in file layout into `out`, as long as all of them: one packed block after the other.
#[inline(always)]
pub fn pack_tile<'a, S: Isa, Q: Quant>(s: S, rows: impl TileRows<'a>, out: &mut [u8]) {
    for (b, out) in out.chunks_exact_mut(Q::PACKED).enumerate() {
        pack_block::<S, Q>(s, rows.skip(b * Q::BYTES), out);
    }
}

/// Regroups the block that 16 rows begin with into the `PACKED` bytes of `out`.
#[inline(always)]
pub fn pack_block<'a, S: Isa, Q: Quant>(s: S, rows: impl TileRows<'a>, out: &mut [u8]) {
    const { assert!(Q::PLAN.len() <= 6) };
    // Not a loop, which the compiler would not unroll: it would choose between the kinds of sections for every block.
    let at = section::<S, Q, _, 0>(s, rows, out, 0);
    let at = section::<S, Q, _, 1>(s, rows, out, at);
    let at = section::<S, Q, _, 2>(s, rows, out, at);
    let at = section::<S, Q, _, 3>(s, rows, out, at);
    let at = section::<S, Q, _, 4>(s, rows, out, at);
    section::<S, Q, _, 5>(s, rows, out, at);
}

/// Regroups section `K` of the block, if there is one, to `out[at..]`; returns where the next begins.
#[inline(always)]
fn section<'a, S: Isa, Q: Quant, R: TileRows<'a>, const K: usize>(s: S, rows: R, out: &mut [u8], at: usize) -> usize {
    match const { if K < Q::PLAN.len() { Some(Q::PLAN[K]) } else { None } } {
        None => at,
        Some(Section::Half(from) | Section::Short(from)) => {
            let src = rows.at::<2>(from);
            let mut fours = [0u64; 4];
            each!(4, i => {
                each!(4, j => { fours[i] |= u64::from(u16::from_le_bytes(*src[4 * i + j])) << (16 * j); });
            });
            s.store_fours((&mut out[at..at + 32]).try_into().expect("32 bytes"), fours);
            at + 32
        }
        Some(Section::Exponent(from)) => {
            let src = rows.at::<1>(from);
            each16!(j => { out[at + j] = src[j][0]; });
            at + 16
        }
        Some(Section::Words { at: from, n }) => {
            let dst = out[at..at + 64 * n].as_chunks_mut::<64>().0;
            let (fours, rest) = dst.as_chunks_mut::<4>();
            let mut from = from;
            for four in fours {
                let words = s.i_transpose(&rows.at::<16>(from));
                each!(4, i => { s.i_store(&mut four[i], words[i]); });
                from += 16;
            }
            if !rest.is_empty() {
                // Sixteen bytes of the block that have them: from there on, or up to their end.
                const { assert!(Q::BYTES >= 16) };
                let over = (from + 16).saturating_sub(Q::BYTES).next_multiple_of(4);
                let words = s.i_transpose(&rows.at::<16>(from - over));
                each!(4, i => {
                    if let Some(out) = (i * 4).checked_sub(over).and_then(|k| rest.get_mut(k / 4)) {
                        s.i_store(out, words[i]);
                    }
                });
            }
            at + 64 * n
        }
        Some(Section::Bits(from)) => {
            assert!(from + 16 <= Q::BYTES, "the field is followed by the numbers");
            let [fields, ..] = s.i_transpose(&rows.at::<16>(from));
            s.i_store((&mut out[at..at + 64]).try_into().expect("64 bytes"), spread(s, fields));
            at + 64
        }
    }
}

/// Moves bit `4 g + t` of every lane to bit `8 t + g`: the transpose of an 8 x 4 bit matrix. Of the five bits of a
/// position, from `g2 g1 g0 t1 t0` to `t1 t0 g2 g1 g0`, two exchanged at a time.
#[inline(always)]
fn spread<S: Isa>(s: S, v: S::I) -> S::I {
    let v = exchange(s, v, 14, 0x0000_cccc);
    let v = exchange(s, v, 7, 0x00aa_00aa);
    let v = exchange(s, v, 2, 0x0c0c_0c0c);
    exchange(s, v, 1, 0x2222_2222)
}

/// Exchanges the bits of `mask` with those `n` above them.
#[inline(always)]
fn exchange<S: Isa>(s: S, v: S::I, n: u32, mask: u32) -> S::I {
    let differ = s.i_and(s.i_xor(s.i_shr(v, n), v), s.i_splat(mask as i32));
    s.i_xor(s.i_xor(v, differ), s.i_shl(differ, n))
}

#[cfg(test)]
mod tests {
    use crate::isa::scalar::Scalar;

    #[test]
    fn spread_is_the_bit_transpose() {
        for i in 0..32u32 {
            let lanes = std::array::from_fn(|j| 1 << ((i + j as u32) % 32));
            for (j, v) in super::spread(Scalar, lanes).into_iter().enumerate() {
                let bit = (i + j as u32) % 32;
                assert_eq!(v as u32, 1 << (8 * (bit % 4) + bit / 4), "bit {bit}");
            }
        }
    }
}
