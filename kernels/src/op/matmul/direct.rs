//! One column: a decode step.
//!
//! Bounded by the memory that the weights come from, so each byte is touched once: a sub-block of 32 weights x 16 rows
//! is decoded in registers and multiplied there and then. From the file's layout, a tile is regrouped into
//! scratch first, which stays in the nearest cache.

use super::Rows;
use super::matrix::{Layout, Matrix, tile_height, tile_rows};
use crate::format::{Form, Quant, SUB, TILE_ROWS, pack_tile};
use crate::isa::{Isa, Kernel, each};
use crate::op::quantize::ActBlock;
use crate::team::Crew;
use std::marker::PhantomData;

/// How far ahead of the weights in use the next are asked for, in bytes.
const AHEAD: usize = 4096;

/// Multiplies tiles `range[0]..range[1]` with `x` (`[cols / 32]`).
pub(super) fn run<Q: Quant>(
    crew: &Crew<'_>,
    worker: usize,
    w: &Matrix<'_>,
    x: &[ActBlock],
    range: [usize; 2],
    out: Rows,
) {
    let tile_bytes = w.cols() / Q::BLOCK * Q::PACKED;
    match w.layout() {
        Layout::Packed => {
            let packed = &w.data()[range[0] * tile_bytes..range[1] * tile_bytes];
            crew.isa().run(Tiles::<Q>::new(packed, range, x, out));
        }
        Layout::File => crew.with_scratch(worker, tile_bytes, |scratch: &mut [u8]| {
            for tile in range[0]..range[1] {
                let (rows, height) = (tile_rows::<Q>(w, tile), tile_height(w.rows(), tile));
                crew.isa().run(Regroup::<Q> { rows: &rows[..height], out: scratch, format: PhantomData });
                crew.isa().run(Tiles::<Q>::new(scratch, [tile, tile + 1], x, out));
            }
        }),
    }
}

/// A tile from the file's layout to scratch.
struct Regroup<'a, Q> {
    rows: &'a [&'a [u8]],
    out: &'a mut [u8],
    format: PhantomData<Q>,
}

impl<Q: Quant> Kernel for Regroup<'_, Q> {
    type Out = ();
    #[inline(always)]
    fn call<S: Isa>(self, s: S) {
        pack_tile::<S, Q>(s, self.rows, self.out);
    }
}

/// Packed tiles `range`, side by side in `data`, times the column.
struct Tiles<'a, Q> {
    data: &'a [u8],
    range: [usize; 2],
    x: &'a [ActBlock],
    out: Rows,
    format: PhantomData<Q>,
}

impl<'a, Q: Quant> Tiles<'a, Q> {
    fn new(data: &'a [u8], range: [usize; 2], x: &'a [ActBlock], out: Rows) -> Self {
        Self { data, range, x, out, format: PhantomData }
    }
}

impl<Q: Quant> Kernel for Tiles<'_, Q> {
    type Out = ();
    #[inline(always)]
    fn call<S: Isa>(self, s: S) {
        let bytes = self.data.len() / (self.range[1] - self.range[0]).max(1);
        for tile in self.range[0]..self.range[1] {
            let data = &self.data[(tile - self.range[0]) * bytes..][..bytes];
            let mut v = [0.0; TILE_ROWS];
            s.f_store(&mut v, tile_column::<S, Q>(s, data, self.x));
            self.out.store_tile(0, tile, &v);
        }
    }
}

/// One packed tile times `x`.
#[inline(always)]
fn tile_column<S: Isa, Q: Quant>(s: S, tile: &[u8], x: &[ActBlock]) -> S::F {
    let subs = Q::BLOCK / SUB;
    let mut acc = s.f_splat(0.0);
    for (block, x) in tile.chunks_exact(Q::PACKED).zip(x.chunks_exact(subs)) {
        for line in (0..Q::PACKED).step_by(64) {
            s.prefetch(block.as_ptr().wrapping_add(AHEAD + line));
        }
        each!(subs, i => {
            let mut lanes = Q::sub(s, block, i);
            if Q::Form::BITS == 8 {
                each!(8, g => { lanes.w[g] = s.i_signed(lanes.w[g]); });
            }
            let mut factor = [s.f_splat(0.0); 2];
            if Q::Form::HALVES {
                factor = [s.i_to_f(lanes.half[0]), s.i_to_f(lanes.half[1])];
            }
            let sum = isum::<S, Q::Form>(s, &lanes.w, factor, &x[i]);
            let d = s.f_splat(x[i].d);
            acc = s.f_fma(s.f_mul(lanes.scale, d), sum, acc);
            if Q::Form::OFFSET {
                acc = s.f_fma(s.f_mul(lanes.offset, d), s.f_splat(x[i].sum), acc);
            }
        });
    }
    acc
}

/// The integer sum of a sub-block as f32, which is exact.
#[inline(always)]
fn isum<S: Isa, F: Form>(s: S, w: &[S::I; 8], factor: [S::F; 2], x: &ActBlock) -> S::F {
    let (q, init) = (&x.q, x.start::<S, F>(s));
    if F::HALVES {
        let lo = s.dot::<6, 4>(&[w[0], w[1], w[2], w[3]], &[q[0], q[1], q[2], q[3]], x.start_half::<S, F>(s, 0));
        let hi = s.dot::<6, 4>(&[w[4], w[5], w[6], w[7]], &[q[4], q[5], q[6], q[7]], x.start_half::<S, F>(s, 1));
        return s.f_fma(s.i_to_f(hi), factor[1], s.f_mul(s.i_to_f(lo), factor[0]));
    }
    s.i_to_f(match F::BITS {
        0..=4 => s.dot::<4, 8>(w, q, init),
        5 => s.dot::<5, 8>(w, q, init),
        6 => s.dot::<6, 8>(w, q, init),
        7 => s.dot::<7, 8>(w, q, init),
        _ => s.dot::<8, 8>(w, q, init),
    })
}
