//! Products with F32, F16 and BF16 weights: sixteen virtual lanes over k, one tree at the end.
//!
//! Per output element: lane `j` is the FMA chain over `k = j, j + 16, ...` (a short last chunk is padded with zeros on
//! both sides), then the lanes are summed by the contract's tree.

mod panel;

use super::matmul::Rows;
use crate::format::Float;
use crate::isa::{Isa, Kernel, load_tail};
pub(super) use panel::room;
use std::marker::PhantomData;

/// How far ahead of the weights in use the next are asked for by the first columns, in bytes; numbers of four bytes come
/// slowly enough for the CPU to do it (measured: 2 to 10 % slower with it).
const AHEAD: usize = 8192;

/// Rows `rows[0]..rows[1]` of a product.
pub(super) struct FloatTask<'a, T> {
    w: &'a [u8],
    cols: usize,
    x: &'a [f32],
    rows: [usize; 2],
    out: Rows,
    /// As many bytes as [`room`] says, for many columns.
    room: &'a mut [[f32; 16]],
    format: PhantomData<T>,
}

impl<'a, T: Float> FloatTask<'a, T> {
    pub fn new(
        (w, cols): (&'a [u8], usize),
        x: &'a [f32],
        rows: [usize; 2],
        out: Rows,
        room: &'a mut [[f32; 16]],
    ) -> Self {
        Self { w, cols, x, rows, out, room, format: PhantomData }
    }

    #[inline(always)]
    fn block<S: Isa, const R: usize, const C: usize>(&self, s: S, row: usize, c: usize) {
        let bytes = self.cols * T::BYTES;
        let w: [&[u8]; R] = std::array::from_fn(|i| &self.w[(row + i) * bytes..][..bytes]);
        let x: [&[f32]; C] = std::array::from_fn(|i| &self.x[(c + i) * self.cols..][..self.cols]);
        let mut acc = [[s.f_splat(0.0); C]; R];
        let full = self.cols / 16 * 16;
        for k in (0..full).step_by(16) {
            if c == 0 && T::BYTES < 4 {
                // Rows lie behind each other, so these bytes are as many of the rows to come.
                let next = w[0].as_ptr().wrapping_add(AHEAD + R * k * T::BYTES);
                for line in 0..(R * 16 * T::BYTES).div_ceil(64) {
                    s.prefetch_far(next.wrapping_add(64 * line));
                }
            }
            let mut xs = [s.f_splat(0.0); C];
            for i in 0..C {
                xs[i] = s.f_load(x[i][k..].first_chunk().expect("16 left"));
            }
            for r in 0..R {
                let wv = T::load(s, &w[r][k * T::BYTES..][..16 * T::BYTES]);
                for i in 0..C {
                    acc[r][i] = s.f_fma(wv, xs[i], acc[r][i]);
                }
            }
        }
        if full < self.cols {
            let mut xs = [s.f_splat(0.0); C];
            for i in 0..C {
                xs[i] = load_tail(s, &x[i][full..]);
            }
            for r in 0..R {
                let mut tail = [0.0; 16];
                let rest = w[r][full * T::BYTES..].chunks_exact(T::BYTES);
                tail.iter_mut().zip(rest).for_each(|(t, b)| *t = T::decode(b));
                for i in 0..C {
                    acc[r][i] = s.f_fma(s.f_load(&tail), xs[i], acc[r][i]);
                }
            }
        }
        for i in 0..C {
            let mut v = [0.0; R];
            for r in 0..R {
                v[r] = s.f_sum(acc[r][i]);
            }
            self.out.store(c + i, row, &v);
        }
    }

    /// All rows, `R` at a time. A single column takes two of short numbers, so that memory is read in few streams and yet
    /// the sum of a row, one long chain, has a neighbour to overlap with (measured: one is slower on AVX2, four on all).
    #[inline(always)]
    fn all_rows<S: Isa, const R: usize, const C: usize>(&self, s: S, c: usize) {
        let mut row = self.rows[0];
        while self.rows[1] - row >= R {
            self.block::<S, R, C>(s, row, c);
            row += R;
        }
        for row in row..self.rows[1] {
            self.block::<S, 1, C>(s, row, c);
        }
    }
}

impl<T: Float> Kernel for FloatTask<'_, T> {
    type Out = ();
    #[inline(always)]
    fn call<S: Isa>(mut self, s: S) {
        let room = std::mem::take(&mut self.room);
        if !room.is_empty() {
            return self.panels(s, room);
        }
        let mut c = 0;
        // Sums of four rows by four columns take sixteen registers of 512 bits.
        while S::MANY && self.out.n - c >= 4 {
            self.all_rows::<S, 4, 4>(s, c);
            c += 4;
        }
        while self.out.n - c >= 2 {
            self.all_rows::<S, 2, 2>(s, c);
            c += 2;
        }
        for c in c..self.out.n {
            if T::BYTES < 4 {
                self.all_rows::<S, 2, 1>(s, c);
            } else {
                self.all_rows::<S, 4, 1>(s, c);
            }
        }
    }
}
