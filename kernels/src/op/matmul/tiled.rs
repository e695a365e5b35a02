//! The micro-kernel on a matrix unit: the unit sums the products of 32 columns at a time, the vector ports scale them.
//!
//! ```text
//! unit    | sums k+2, k+3       | sums k+4, k+5       |     both run at once: the sums go through two buffers in the
//! vectors |   scale k, k+1      |   scale k+2, k+3    |     nearest cache
//! ```
//!
//! What is left to the vector ports is 3 instructions of the 11 that a sub-block takes without the unit (5 of 13 for
//! forms with an offset), so those bound it.

use super::micro::Micro;
use super::panel::PanelSub;
use crate::format::Form;
use crate::isa::{Isa, TileSums, each};
use crate::op::quantize::ActBlock;

/// Columns that the unit takes at a time, in two groups.
const COLUMNS: usize = 32;
/// Sub-blocks (or halves) whose sums are computed ahead.
const AHEAD: usize = 2;

impl<F: Form> Micro<'_, F> {
    /// All columns.
    #[inline(always)]
    pub(super) fn tiled<S: Isa>(&mut self, s: S) {
        let n = self.sums.len();
        let mut buffers = [const { [const { TileSums::ZERO }; AHEAD] }; 2];
        let words = if F::HALVES { 4 } else { 8 };
        let mut open = 0;
        for c in (0..n).step_by(COLUMNS) {
            let columns = COLUMNS.min(n - c);
            // A second group that has no columns repeats the first; its sums are not used.
            let groups = if columns > 16 { [16, columns - 16] } else { [columns, columns] };
            if open != columns {
                s.tiles_open(groups, words);
                open = columns;
            }
            let block = Block { c, columns, groups };
            let step = if F::HALVES { 1 } else { AHEAD };
            self.ahead(s, &block, 0, &mut buffers[0]);
            for (i, k) in (0..self.panel.len()).step_by(step).enumerate() {
                self.ahead(s, &block, k + step, &mut buffers[(i + 1) % 2]);
                self.scale(s, &block, [k, (k + step).min(self.panel.len())], &buffers[i % 2]);
            }
        }
        s.tiles_close();
    }

    /// The sums of the sub-blocks from `k` on, as far as there are any.
    #[inline(always)]
    fn ahead<S: Isa>(&self, s: S, b: &Block, k: usize, out: &mut [TileSums; AHEAD]) {
        let subs = self.x.len() / self.sums.len();
        let second = if b.columns > 16 { 16 } else { 0 };
        for (j, out) in out.iter_mut().enumerate() {
            let (k, words) = if F::HALVES { (k, [4 * j, 4 * j + 4]) } else { (k + j, [0, 8]) };
            let Some(p) = self.panel.get(k) else { return };
            let first = &self.x[b.c * subs + self.k + k..];
            s.tiles_sums(&p.w, [first, &first[second * subs..]], subs, b.groups, words, out);
        }
    }

    /// Adds the scaled sums of sub-blocks `k[0]..k[1]`.
    #[inline(always)]
    fn scale<S: Isa>(&mut self, s: S, b: &Block, k: [usize; 2], sums: &[TileSums; AHEAD]) {
        let mut c = 0;
        while b.columns - c >= 4 {
            self.scale_columns::<S, 4>(s, b, c, k, sums);
            c += 4;
        }
        for c in c..b.columns {
            self.scale_columns::<S, 1>(s, b, c, k, sums);
        }
    }

    #[inline(always)]
    fn scale_columns<S: Isa, const C: usize>(&mut self, s: S, b: &Block, c: usize, k: [usize; 2], from: &[TileSums; AHEAD]) {
        let subs = self.x.len() / self.sums.len();
        let mut x: [&[ActBlock]; C] = [&[]; C];
        each!(C, i => { x[i] = &self.x[(b.c + c + i) * subs + self.k..][..self.panel.len()]; });
        let sums = &mut self.sums[b.c + c..][..C];
        let mut acc = [[s.f_splat(0.0); C]; 2];
        if !(self.fresh && k[0] == 0) {
            each!(C, i => {
                acc[0][i] = s.f_load(&sums[i][0]);
                acc[1][i] = s.f_load(&sums[i][1]);
            });
        }
        for (j, k) in (k[0]..k[1]).enumerate() {
            let p: &PanelSub = &self.panel[k];
            let (group, first) = (c / 16, c % 16);
            each!(C, i => {
                let d = s.f_splat(x[i][k].d);
                each!(2, t => {
                    let value = if F::HALVES {
                        let lo = s.f_mul(isum(s, &from[0], group, t, first + i), s.f_load(&p.half[t][0]));
                        s.f_fma(isum(s, &from[1], group, t, first + i), s.f_load(&p.half[t][1]), lo)
                    } else {
                        isum(s, &from[j], group, t, first + i)
                    };
                    acc[t][i] = s.f_fma(s.f_mul(s.f_load(&p.scale[t]), d), value, acc[t][i]);
                    if F::OFFSET {
                        acc[t][i] = s.f_fma(s.f_mul(s.f_load(&p.offset[t]), d), s.f_splat(x[i][k].sum), acc[t][i]);
                    }
                });
            });
        }
        each!(C, i => {
            s.f_store(&mut sums[i][0], acc[0][i]);
            s.f_store(&mut sums[i][1], acc[1][i]);
        });
    }
}

/// Up to 32 columns from `c` on.
struct Block {
    c: usize,
    columns: usize,
    groups: [usize; 2],
}

#[inline(always)]
fn isum<S: Isa>(s: S, sums: &TileSums, group: usize, t: usize, column: usize) -> S::F {
    s.i_to_f(s.i_load(bytemuck::cast_ref(&sums.0[group][t][column])))
}
