//! Codebooks with AVX-512 VBMI: each byte of a register is a number of an entry, and what is found is a byte of it, 64 at a time.
//!
//! ```text
//! find          a register of numbers -> one half of their entries, from a table of 256 or 512 bytes: an instruction for
//!               every 64 of those, the numbers' upper bits choose
//! move_bits     each byte of a lane takes eight bits from anywhere: a weight's number to the byte where the weight will
//!               be, its sign beside it
//! signed        both together number the weight, in a table of 64
//! ```
//!
//! The instructions are written out, because the tokens of AVX-512 do without this feature. Who calls the functions of this
//! module promises it.

use super::Book;
use std::arch::asm;
use std::arch::x86_64::*;

/// `table[index % 64]` for each byte.
#[inline]
#[target_feature(enable = "avx512f")]
fn find(index: __m512i, table: __m512i) -> __m512i {
    let found;
    // SAFETY: the instruction is there, by the promise to this module; it works on registers alone.
    unsafe {
        asm!("vpermb {found}, {index}, {table}", found = lateout(zmm_reg) found, index = in(zmm_reg) index,
            table = in(zmm_reg) table, options(pure, nomem, nostack, preserves_flags));
    }
    found
}

/// The same where a bit of `set` is 1, elsewhere `other`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn find_where(other: __m512i, set: __mmask64, index: __m512i, table: __m512i) -> __m512i {
    let mut found = other;
    // SAFETY: as above.
    unsafe {
        asm!("vpermb {found} {{{set}}}, {index}, {table}", found = inout(zmm_reg) found, set = in(kreg) set,
            index = in(zmm_reg) index, table = in(zmm_reg) table, options(pure, nomem, nostack, preserves_flags));
    }
    found
}

/// Byte `k` of each pair of lanes becomes eight bits of them, from bit `from[k] % 64` on and around.
#[inline]
#[target_feature(enable = "avx512f")]
fn move_bits(v: __m512i, from: [u8; 8]) -> __m512i {
    let from = _mm512_set1_epi64(i64::from_le_bytes(from));
    let moved;
    // SAFETY: as above.
    unsafe {
        asm!("vpmultishiftqb {moved}, {from}, {v}", moved = lateout(zmm_reg) moved, from = in(zmm_reg) from,
            v = in(zmm_reg) v, options(pure, nomem, nostack, preserves_flags));
    }
    moved
}

/// The same for bytes 2 and 3 of each lane, the others from `other`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn move_bits_up(other: __m512i, v: __m512i, from: [u8; 8]) -> __m512i {
    let (from, mut moved) = (_mm512_set1_epi64(i64::from_le_bytes(from)), other);
    let set: __mmask64 = 0xcccc_cccc_cccc_cccc;
    // SAFETY: as above.
    unsafe {
        asm!("vpmultishiftqb {moved} {{{set}}}, {from}, {v}", moved = inout(zmm_reg) moved, set = in(kreg) set,
            from = in(zmm_reg) from, v = in(zmm_reg) v, options(pure, nomem, nostack, preserves_flags));
    }
    moved
}

/// For [`move_bits`]: byte `k` of a lane from its bit `start + step k` on.
#[inline(always)]
const fn from(start: i32, step: i32) -> [u8; 8] {
    let mut all = [0; 8];
    let mut k = 0;
    while k < 8 {
        all[k] = (start + step * (k as i32 % 4) + 32 * (k as i32 / 4)).rem_euclid(64) as u8;
        k += 1;
    }
    all
}

/// See [`Isa::b_codes`](super::Isa::b_codes).
///
/// # Safety
/// The CPU has AVX-512 VBMI.
#[inline(always)]
pub(super) unsafe fn codes(v: __m512i) -> __m512i {
    // SAFETY: promised by the caller.
    unsafe { _mm512_and_si512(move_bits(v, from(0, 7)), _mm512_set1_epi8(0x7f)) }
}

/// Bits of `a` where `n` has ones, those of `b` elsewhere, in each byte.
#[inline]
#[target_feature(enable = "avx512f")]
fn select(n: i8, a: __m512i, b: __m512i) -> __m512i {
    _mm512_ternarylogic_epi32::<0xca>(_mm512_set1_epi8(n), a, b)
}

/// Both halves of the entries that the bytes of `index` number, with `above` for bit 8 of the numbers.
///
/// # Safety
/// The CPU has AVX-512 VBMI.
#[inline(always)]
unsafe fn entries<const N: usize>(book: &Book<N>, index: __m512i, above: __mmask64) -> [__m512i; 2] {
    const { assert!(N == 256 || N == 512) };
    // SAFETY: promised by the caller; tables are 64 bytes.
    unsafe {
        let odd = _mm512_test_epi8_mask(index, _mm512_set1_epi8(64));
        let upper = _mm512_movepi8_mask(index);
        let mut out = [index; 2];
        each!(2, half => {
            let tables: &[[u8; 64]] = book.bytes[half].as_chunks().0;
            let table = |n: usize| _mm512_loadu_si512(tables[n].as_ptr().cast());
            let pair = |n: usize| find_where(find(index, table(n)), odd, index, table(n + 1));
            let quarter = |n: usize| _mm512_mask_blend_epi8(upper, pair(n), pair(n + 2));
            out[half] = if N == 512 { _mm512_mask_blend_epi8(above, quarter(0), quarter(4)) } else { quarter(0) };
        });
        out
    }
}

/// See [`Isa::b_eights`](super::Isa::b_eights).
///
/// # Safety
/// The CPU has AVX-512 VBMI.
#[inline(always)]
pub(super) unsafe fn eights(book: &Book<256>, index: __m512i, signs: __m512i) -> [__m512i; 8] {
    // SAFETY: promised by the caller; the table is 64 bytes.
    unsafe {
        let halves = entries(book, index, 0);
        let signed = _mm512_loadu_si512(book.signed.as_ptr().cast());
        let mut w = [signs; 8];
        each!(4, l => {
            let at = 8 * l as i32;
            // Of the first weights the numbers come to bits 0 and 1 and the signs to bit 2, of the others four bits further up.
            let signs = move_bits(signs, from(at - 2, 1));
            let low = select(0x03, move_bits(halves[0], from(at, 2)), signs);
            let high = select(0x30, move_bits(halves[1], from(at - 4, 2)), signs);
            w[2 * l] = find(low, signed);
            w[2 * l + 1] = find(_mm512_srli_epi16::<4>(high), signed);
        });
        w
    }
}

/// See [`Isa::b_fours`](super::Isa::b_fours).
///
/// # Safety
/// The CPU has AVX-512 VBMI.
#[inline(always)]
pub(super) unsafe fn fours<const N: usize>(
    book: &Book<N>,
    index: [__m512i; 2],
    high: (__m512i, u32),
    signs: __m512i,
) -> [__m512i; 8] {
    // SAFETY: promised by the caller; the table is 64 bytes.
    unsafe {
        let signed = _mm512_loadu_si512(book.signed.as_ptr().cast());
        let mut w = [signs; 8];
        each!(2, r => {
            let above = if N == 512 {
                let bits = move_bits(high.0, from(high.1 as i32 + 4 * r as i32, 1));
                _mm512_test_epi8_mask(bits, _mm512_set1_epi8(1))
            } else {
                0
            };
            let halves = entries(book, index[r], above);
            // The numbers of an entry's weights, so many bits further down.
            let numbers = |e: usize, down: i32| {
                let at = 8 * e as i32 - down;
                move_bits_up(move_bits(halves[0], from(at, 4)), halves[1], from(at - 8, 4))
            };
            each!(2, p => {
                // Of the first entry the numbers come to bits 0 to 2 and the signs to bit 3, of the second four bits further up.
                let g = 4 * r + 2 * p;
                let signs = move_bits(signs, from(4 * g as i32 - 3, 1));
                let low = select(0x07, numbers(2 * p, 0), signs);
                let high = select(0x70, numbers(2 * p + 1, 4), signs);
                w[g] = find(low, signed);
                w[g + 1] = find(_mm512_srli_epi16::<4>(high), signed);
            });
        });
        w
    }
}
