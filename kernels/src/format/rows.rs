//! The rows of a tile as they lie in a file.

use super::TILE_ROWS;
use crate::isa::{each, each16};
use std::marker::PhantomData;

/// Sixteen byte slices of one length, read at the same place of each: one check serves all of them.
pub trait TileRows<'a>: Copy {
    /// The rows without their first `at` bytes.
    ///
    /// # Panics
    /// When the rows end before that.
    fn skip(self, at: usize) -> Self;

    /// The `N` bytes from `at` of every row.
    ///
    /// # Panics
    /// When the rows end before them.
    fn at<const N: usize>(&self, at: usize) -> [&'a [u8; N]; TILE_ROWS];
}

/// Rows that lie anywhere.
#[derive(Clone, Copy)]
pub struct LooseRows<'a> {
    start: [*const u8; TILE_ROWS],
    len: usize,
    life: PhantomData<&'a [u8]>,
}

impl<'a> LooseRows<'a> {
    /// # Panics
    /// When the rows are not equally long.
    pub fn new(rows: [&'a [u8]; TILE_ROWS]) -> Self {
        let len = rows[0].len();
        assert!(rows.iter().all(|r| r.len() == len), "rows of one length");
        Self { start: rows.map(<[u8]>::as_ptr), len, life: PhantomData }
    }
}

impl<'a> TileRows<'a> for LooseRows<'a> {
    #[inline(always)]
    fn skip(mut self, at: usize) -> Self {
        self.len = self.len.checked_sub(at).expect("within the rows");
        // SAFETY: `start[j]` is the start of a slice of at least `at` bytes (`new` is the only other way to make one).
        each16!(j => { self.start[j] = unsafe { self.start[j].add(at) }; });
        self
    }

    #[inline(always)]
    fn at<const N: usize>(&self, at: usize) -> [&'a [u8; N]; TILE_ROWS] {
        assert!(N <= self.len && at <= self.len - N, "within the rows");
        let mut all = [&[0; N]; TILE_ROWS];
        each16!(j => {
            // SAFETY: `start[j]` is the start of a slice of `len` bytes that lives for 'a, and `at + N <= len` was just
            // asserted. An array of bytes needs no alignment.
            all[j] = unsafe { &*self.start[j].add(at).cast::<[u8; N]>() };
        });
        all
    }
}

/// Rows one after the other, as in a matrix, or sixteen times the same one. Six registers address them, where sixteen
/// starts would have to be fetched from memory one by one.
#[derive(Clone, Copy)]
pub struct EvenRows<'a> {
    /// Rows 0, 4, 8, 12.
    start: [*const u8; 4],
    /// From a row to the next, and to the third after it.
    step: usize,
    three: usize,
    len: usize,
    life: PhantomData<&'a [u8]>,
}

impl<'a> EvenRows<'a> {
    /// The rows that `bytes` consists of.
    ///
    /// # Panics
    /// When it is not sixteen of one length.
    pub fn new(bytes: &'a [u8]) -> Self {
        assert!(bytes.len().is_multiple_of(TILE_ROWS), "sixteen rows");
        let step = bytes.len() / TILE_ROWS;
        let mut start = [bytes.as_ptr(); 4];
        each!(4, i => { start[i] = bytes[4 * i * step..].as_ptr(); });
        Self { start, step, three: 3 * step, len: step, life: PhantomData }
    }

    /// One row for all sixteen.
    pub fn same(row: &'a [u8]) -> Self {
        Self { start: [row.as_ptr(); 4], step: 0, three: 0, len: row.len(), life: PhantomData }
    }
}

impl<'a> TileRows<'a> for EvenRows<'a> {
    #[inline(always)]
    fn skip(mut self, at: usize) -> Self {
        self.len = self.len.checked_sub(at).expect("within the rows");
        // SAFETY: each is the start of a slice of at least `at` bytes.
        each!(4, i => { self.start[i] = unsafe { self.start[i].add(at) }; });
        // Hidden from the compiler, which would make sixteen starts of them before a loop.
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        #[expect(clippy::pointers_in_nomem_asm_block, reason = "nothing is read")]
        {
            let [mut a, mut b, mut c, mut d] = self.start;
            // SAFETY: no instructions.
            unsafe {
                std::arch::asm!("/* {} {} {} {} */", inout(reg) a, inout(reg) b, inout(reg) c, inout(reg) d,
                                options(pure, nomem, nostack, preserves_flags));
            }
            self.start = [a, b, c, d];
        }
        self
    }

    #[inline(always)]
    fn at<const N: usize>(&self, at: usize) -> [&'a [u8; N]; TILE_ROWS] {
        assert!(N <= self.len && at <= self.len - N, "within the rows");
        let mut all = [&[0; N]; TILE_ROWS];
        each!(4, i => {
            // SAFETY: `start[i]` and the three rows after it, `step` apart, are slices of `len` bytes that live for 'a,
            // less what `skip` left out of each; `at + N <= len` was just asserted. An array of bytes needs no alignment.
            unsafe {
                let p = self.start[i].add(at);
                all[4 * i] = &*p.cast::<[u8; N]>();
                all[4 * i + 1] = &*p.add(self.step).cast::<[u8; N]>();
                all[4 * i + 2] = &*p.add(2 * self.step).cast::<[u8; N]>();
                all[4 * i + 3] = &*p.add(self.three).cast::<[u8; N]>();
            }
        });
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<'a>(rows: impl TileRows<'a>, from: usize, at: usize) -> Vec<[u8; 2]> {
        rows.skip(from).at::<2>(at).into_iter().copied().collect()
    }

    #[test]
    fn even_rows_are_those_of_the_matrix() {
        for len in [2, 5, 18, 31] {
            let bytes: Vec<u8> = (0..16 * len).map(|i| (i * 7 % 251) as u8).collect();
            let rows: [&[u8]; TILE_ROWS] = std::array::from_fn(|j| &bytes[j * len..(j + 1) * len]);
            for from in 0..=len - 2 {
                for at in 0..=len - 2 - from {
                    let want: Vec<_> = rows.iter().map(|r| [r[from + at], r[from + at + 1]]).collect();
                    assert_eq!(read(EvenRows::new(&bytes), from, at), want);
                    assert_eq!(read(LooseRows::new(rows), from, at), want);
                    assert_eq!(read(EvenRows::same(rows[3]), from, at), vec![want[3]; 16]);
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "within the rows")]
    fn even_rows_end() {
        read(EvenRows::new(&[0; 48]), 1, 1);
    }

    #[test]
    #[should_panic(expected = "within the rows")]
    fn loose_rows_end() {
        read(LooseRows::new([&[0; 3]; TILE_ROWS]), 4, 0);
    }
}
