//! The rows of a tile as they lie in a file.

use super::TILE_ROWS;
use crate::isa::each16;
use std::marker::PhantomData;

/// Sixteen byte slices of one length, read at the same place of each: one check serves all of them.
#[derive(Clone, Copy)]
pub struct TileRows<'a> {
    start: [*const u8; TILE_ROWS],
    len: usize,
    life: PhantomData<&'a [u8]>,
}

impl<'a> TileRows<'a> {
    /// # Panics
    /// When the rows are not equally long.
    pub fn new(rows: [&'a [u8]; TILE_ROWS]) -> Self {
        let len = rows[0].len();
        assert!(rows.iter().all(|r| r.len() == len), "rows of one length");
        Self { start: rows.map(<[u8]>::as_ptr), len, life: PhantomData }
    }

    /// Bytes of each row.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the rows have no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The `N` bytes from `at` of every row.
    ///
    /// # Panics
    /// When the rows end before them.
    #[inline(always)]
    pub fn at<const N: usize>(&self, at: usize) -> [&'a [u8; N]; TILE_ROWS] {
        assert!(N <= self.len && at <= self.len - N, "within the rows");
        let mut all = [&[0; N]; TILE_ROWS];
        each16!(j => {
            // SAFETY: `start[j]` is the start of a slice of `len` bytes that lives for 'a (`new` is the only way to make
            // one), and `at + N <= len` was just asserted. An array of bytes needs no alignment.
            all[j] = unsafe { &*self.start[j].add(at).cast::<[u8; N]>() };
        });
        all
    }
}
