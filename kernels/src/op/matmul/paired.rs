//! The micro-kernel where one instruction multiplies two rows with two columns (`smmla` of aarch64): eight rows times
//! eight columns, whose sixteen registers of sums fill half of the 32.
//!
//! Per eight weights of each row that takes 8 loads (4 in pairs) and 16 products of 32 multiply-adds. The weights lie so
//! in the panel, the columns of a group are brought into this order once for all rows of the panel:
//!
//! ```text
//!   w[2 g + h]      row 0: 8 bytes | row 1: 8 bytes | ... row 7     weights 8 g .. 8 g + 8 of rows 8 h .. of a tile
//!   q[g]            col 0: 8 bytes | col 1: 8 bytes | ... col 7     activations 8 g .. 8 g + 8
//! ```
//!
//! The running sums do not fit the registers beside the integers; they come from the nearest cache, once in 32 weights.

use super::micro::Micro;
use super::panel::{DEPTH, PanelSub};
use crate::format::Form;
use crate::isa::{Isa, each};
use crate::op::quantize::{ActBlock, GROUP};

/// Columns of a block.
const WIDTH: usize = 8;

/// A sub-block of eight columns.
#[derive(Clone, Copy, bytemuck::Zeroable)]
#[repr(C, align(64))]
struct Eight {
    /// The integers, see above.
    q: [[u8; 64]; 4],
    /// Scales, as registers of sums (see [`Isa::PAIRS`]), as are the sums.
    d: [f32; 16],
    sum: [f32; 16],
    first: [f32; 16],
}

impl Eight {
    /// At most eight columns; where there are fewer, the others are zero.
    #[inline(always)]
    fn fill(&mut self, x: &[ActBlock]) {
        if x.len() < WIDTH {
            *self = bytemuck::Zeroable::zeroed();
        }
        for (c, x) in x.iter().enumerate() {
            for (to, from) in self.q.iter_mut().zip(x.q.as_chunks::<2>().0) {
                to[8 * c..8 * c + 8].copy_from_slice(bytemuck::cast_ref::<_, [u8; 8]>(from));
            }
            for r in 0..2 {
                let lane = 4 * (c / 2) + 2 * r + c % 2;
                (self.d[lane], self.sum[lane], self.first[lane]) = (x.d, x.sum, x.first);
            }
        }
    }
}

impl<F: Form> Micro<'_, F> {
    /// All columns.
    #[inline(always)]
    pub(super) fn paired<S: Isa>(&mut self, s: S) {
        assert!(S::PAIRS);
        let mut columns: [[Eight; DEPTH]; GROUP / WIDTH] = bytemuck::Zeroable::zeroed();
        for c in (0..self.columns).step_by(GROUP) {
            let (x, height) = self.group(c);
            for (k, x) in x.chunks_exact(height).enumerate() {
                for (to, x) in columns.iter_mut().zip(x.chunks(WIDTH)) {
                    to[k].fill(x);
                }
            }
            for (i, x) in columns.iter().enumerate().take(height.div_ceil(WIDTH)) {
                let (c, n) = (c + WIDTH * i, WIDTH.min(height - WIDTH * i));
                for rows in 0..4 {
                    self.block(s, [c, n], rows, &x[..self.depth()]);
                }
            }
        }
    }

    /// Columns `at[0]..at[0] + at[1]` and the eight rows `rows` of the panel.
    #[inline(always)]
    fn block<S: Isa>(&mut self, s: S, at: [usize; 2], rows: usize, x: &[Eight]) {
        let (t, h) = (rows / 2, rows % 2);
        let mut acc = [s.f_splat(0.0); 4];
        if !self.fresh {
            acc = self.load(s, at, t, 8 * h);
        }
        for (p, x) in self.panel.as_chunks::<2>().0.iter().zip(x) {
            let p = &p[t];
            let value = isums::<S, F>(s, p, x, h);
            let (d, scale) = (s.f_load(&x.d), s.pairs_rows(eight(&p.scale, h)));
            each!(4, i => { acc[i] = s.f_fma(s.f_mul(scale[i], d), value[i], acc[i]); });
            if F::OFFSET {
                let sum = s.f_load(&x.sum);
                let mut sums = [sum; 4];
                if F::OFFSET_HALVES {
                    // As `offset_sum` of `direct.rs`.
                    let [low, high] = &p.offset_half;
                    let factor = [s.pairs_rows(eight(low, h)), s.pairs_rows(eight(high, h))];
                    let first = s.f_load(&x.first);
                    each!(4, i => { sums[i] = s.f_fma(factor[0][i], first, s.f_mul(factor[1][i], sum)); });
                }
                let offset = s.pairs_rows(eight(&p.offset, h));
                each!(4, i => { acc[i] = s.f_fma(s.f_mul(offset[i], d), sums[i], acc[i]); });
            }
        }
        self.store(s, at, t, 8 * h, acc);
    }

    /// The running sums of a block, as registers of sums.
    #[inline(always)]
    fn load<S: Isa>(&self, s: S, [c, n]: [usize; 2], t: usize, row: usize) -> [S::F; 4] {
        let mut acc = [s.f_splat(0.0); 4];
        each!(2, i => {
            let mut columns = [[0.0; 16]; 2];
            for (k, sums) in self.sums[t * self.columns + c..][..n].iter().enumerate() {
                columns[k % 2][k / 2 * 4..][..4].copy_from_slice(&sums[row + 4 * i..][..4]);
            }
            let v = s.pairs_join([s.f_load(&columns[0]), s.f_load(&columns[1])]);
            (acc[2 * i], acc[2 * i + 1]) = (v[0], v[1]);
        });
        acc
    }

    /// The reverse of [`load`](Self::load).
    #[inline(always)]
    fn store<S: Isa>(&mut self, s: S, [c, n]: [usize; 2], t: usize, row: usize, acc: [S::F; 4]) {
        each!(2, i => {
            let v = s.pairs_split([acc[2 * i], acc[2 * i + 1]]);
            let mut columns = [[0.0; 16]; 2];
            s.f_store(&mut columns[0], v[0]);
            s.f_store(&mut columns[1], v[1]);
            for (k, sums) in self.sums[t * self.columns + c..][..n].iter_mut().enumerate() {
                sums[row + 4 * i..][..4].copy_from_slice(&columns[k % 2][k / 2 * 4..][..4]);
            }
        });
    }
}

/// The values of eight rows.
#[inline(always)]
fn eight(v: &[f32; 16], h: usize) -> &[f32; 8] {
    &v.as_chunks::<8>().0[h]
}

/// The integer sums of a sub-block as f32, for rows `8 h..8 h + 8` of its tile.
#[inline(always)]
fn isums<S: Isa, F: Form>(s: S, p: &PanelSub, x: &Eight, h: usize) -> [S::F; 4] {
    let w = &p.w;
    let mut value = [s.f_splat(0.0); 4];
    if F::HALVES {
        let factor = [s.pairs_rows(eight(&p.half[0], h)), s.pairs_rows(eight(&p.half[1], h))];
        let low = s.pairs_sums::<0, 2>(w, h, &x.q);
        each!(4, i => { value[i] = s.f_mul(s.i_to_f(low[i]), factor[0][i]); });
        let high = s.pairs_sums::<2, 4>(w, h, &x.q);
        each!(4, i => { value[i] = s.f_fma(s.i_to_f(high[i]), factor[1][i], value[i]); });
    } else {
        let sum = s.pairs_sums::<0, 4>(w, h, &x.q);
        each!(4, i => { value[i] = s.i_to_f(sum[i]); });
    }
    value
}
