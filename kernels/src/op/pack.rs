//! Regrouping a matrix to [`Layout::Packed`](super::matmul::Layout::Packed) a few tiles at a time, so that packing a
//! model takes a buffer and not a second copy of it.

use super::matmul::{Matrix, padded};
use crate::format::{Float, FormatVisitor, LooseRows, Quant, TILE_ROWS, pack_tile};
use crate::isa::{CpuIsa, Isa, Kernel};
use std::marker::PhantomData;

/// Bytes of one packed tile of `m`; `None` for floating-point formats, which have no packed layout.
pub fn tile_bytes(m: &Matrix<'_>) -> Option<usize> {
    let row = m.format().row_bytes(m.cols()).filter(|_| m.format().is_quant())?;
    row.checked_mul(TILE_ROWS)
}

/// Packs the tiles from `first` on into `out`, as many as it holds; rows past the last are zero bytes.
///
/// # Panics
/// When `m` is a floating-point matrix or packed already, or `out` is not a whole number of its tiles.
pub fn pack_tiles(isa: CpuIsa, m: &Matrix<'_>, first: usize, out: &mut [u8]) {
    let bytes = tile_bytes(m).expect("a matrix in a block format");
    assert!(out.len().is_multiple_of(bytes.max(1)), "whole tiles");
    let zeros = vec![0; bytes / TILE_ROWS];
    for (t, out) in out.chunks_exact_mut(bytes.max(1)).enumerate() {
        m.format().visit(Tile { isa, rows: padded(m, first + t, &zeros), out });
    }
}

struct Tile<'a> {
    isa: CpuIsa,
    rows: LooseRows<'a>,
    out: &'a mut [u8],
}

impl FormatVisitor for Tile<'_> {
    type Out = ();
    fn quant<Q: Quant>(self) {
        self.isa.run_lanes(PackTile::<Q> { rows: self.rows, out: self.out, format: PhantomData });
    }
    fn float<T: Float>(self) {
        unreachable!("the caller asked for a block format");
    }
}

struct PackTile<'a, Q> {
    rows: LooseRows<'a>,
    out: &'a mut [u8],
    format: PhantomData<Q>,
}

impl<Q: Quant> Kernel for PackTile<'_, Q> {
    type Out = ();
    #[inline(always)]
    fn call<S: Isa>(self, s: S) {
        pack_tile::<S, Q>(s, self.rows, self.out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Format;
    use crate::op::matmul::Layout;

    #[test]
    fn any_cut_gives_the_whole_matrix() {
        for &format in Format::ALL.iter().filter(|f| f.is_quant()) {
            let cols = format.block_len() * 3;
            for rows in [1, 15, 16, 17, 50] {
                let len = rows * format.row_bytes(cols).unwrap();
                let data: Vec<u8> = (0..len as u32).map(|i| (i.wrapping_mul(2654435761) >> 13) as u8).collect();
                let m = Matrix::new(format, Layout::File, rows, cols, &data).unwrap();
                let (want, tile) = (m.pack().unwrap(), tile_bytes(&m).unwrap());
                for isa in CpuIsa::available() {
                    for step in [1, 3] {
                        let mut got = vec![0xaa; want.len()];
                        for (i, out) in got.chunks_mut(step * tile).enumerate() {
                            pack_tiles(isa, &m, i * step, out);
                        }
                        assert!(got == want, "{} {rows} rows, {step} tiles at once", format.name());
                    }
                }
            }
        }
    }

    #[test]
    fn floats_have_no_tiles() {
        let m = Matrix::new(Format::F32, Layout::File, 1, 1, &[0; 4]).unwrap();
        assert_eq!(tile_bytes(&m), None);
    }
}
