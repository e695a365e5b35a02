//! The micro-kernel on a matrix unit: the unit sums the products of 32 columns at a time, the vector ports scale them.
//!
//! The sums of four sub-blocks go through a buffer in the nearest cache; then four columns at a time are scaled with
//! their running sums in registers. What is left to the vector ports is 3 instructions of the 11 that a sub-block takes
//! without the unit (5 of 13 for forms with an offset).

use super::micro::Micro;
use crate::format::Form;
use crate::isa::{Isa, TileSums, each};
use crate::op::quantize::{ActBlock, GROUP};

/// Registers of sums in the buffer: a sub-block takes one, or two for its halves.
const BUFFERS: usize = 4;

/// Two groups of columns, as the unit takes them. Where there is no second group the first stands in for it, and its
/// sums are not used.
struct Pair<'a> {
    c: usize,
    columns: usize,
    x: [&'a [ActBlock]; 2],
    height: [usize; 2],
    next: [*const ActBlock; 2],
}

impl<F: Form> Micro<'_, F> {
    /// All columns.
    #[inline(always)]
    pub(super) fn tiled<S: Isa>(&mut self, s: S) {
        assert!(S::TILES);
        let n = self.sums.len();
        let mut buffer = [const { TileSums::ZERO }; BUFFERS];
        let words = if F::HALVES { 4 } else { 8 };
        let step = if F::HALVES { BUFFERS / 2 } else { BUFFERS };
        let mut open = [0; 2];
        for c in (0..n).step_by(2 * GROUP) {
            let first = self.group(c);
            let second = if n - c > GROUP { self.group(c + GROUP) } else { first };
            let pair = Pair {
                c,
                columns: (2 * GROUP).min(n - c),
                x: [first.0, second.0],
                height: [first.1, second.1],
                next: [self.next_group(c + GROUP), self.next_group(c + 2 * GROUP)],
            };
            if open != pair.height {
                // SAFETY: only instruction sets with a matrix unit come here.
                unsafe { s.tiles_open(pair.height, words) };
                open = pair.height;
            }
            for k in (0..self.panel.len()).step_by(step) {
                let k = [k, (k + step).min(self.panel.len())];
                self.sum(s, &pair, k, &mut buffer);
                self.scale(s, &pair, k, &buffer);
            }
        }
        // SAFETY: as above.
        unsafe { s.tiles_close() };
    }

    /// The integer sums of sub-blocks `k[0]..k[1]`.
    #[inline(always)]
    fn sum<S: Isa>(&self, s: S, pair: &Pair<'_>, k: [usize; 2], out: &mut [TileSums; BUFFERS]) {
        for (j, p) in self.panel[k[0]..k[1]].iter().enumerate() {
            let [a, b] = [0, 1].map(|g| &pair.x[g][(k[0] + j) * pair.height[g]..][..pair.height[g]]);
            // SAFETY: the unit was opened for groups of these heights, cut to length above, and for the words of the form.
            unsafe {
                if F::HALVES {
                    s.tiles_sums(&p.w, [a, b], [0, 4], &mut out[2 * j]);
                    s.tiles_sums(&p.w, [a, b], [4, 8], &mut out[2 * j + 1]);
                } else {
                    s.tiles_sums(&p.w, [a, b], [0, 8], &mut out[j]);
                }
            }
        }
    }

    /// Adds the scaled sums of sub-blocks `k[0]..k[1]`.
    #[inline(always)]
    fn scale<S: Isa>(&mut self, s: S, pair: &Pair<'_>, k: [usize; 2], sums: &[TileSums; BUFFERS]) {
        for g in 0..pair.columns.div_ceil(GROUP) {
            let mut c = 0;
            while pair.height[g] - c >= 4 {
                self.scale_columns::<S, 4>(s, pair, g, c, k, sums);
                c += 4;
            }
            for c in c..pair.height[g] {
                self.scale_columns::<S, 1>(s, pair, g, c, k, sums);
            }
        }
    }

    /// Columns `c..c + C` of group `g`.
    #[inline(always)]
    fn scale_columns<S: Isa, const C: usize>(
        &mut self,
        s: S,
        pair: &Pair<'_>,
        g: usize,
        c: usize,
        k: [usize; 2],
        from: &[TileSums; BUFFERS],
    ) {
        let sums = &mut self.sums[pair.c + GROUP * g + c..][..C];
        let mut acc = [[s.f_splat(0.0); C]; 2];
        if !(self.fresh && k[0] == 0) {
            each!(C, i => {
                acc[0][i] = s.f_load(&sums[i][0]);
                acc[1][i] = s.f_load(&sums[i][1]);
            });
        }
        let x = pair.x[g][k[0] * pair.height[g]..].chunks_exact(pair.height[g]);
        // The same blocks two groups on are next.
        let next = pair.next[g].wrapping_add(c + k[0] * GROUP);
        for (j, (p, x)) in self.panel[k[0]..k[1]].iter().zip(x).enumerate() {
            each!(C, i => { s.prefetch(next.wrapping_add(j * GROUP + i).cast()); });
            let x: &[ActBlock; C] = x[c..].first_chunk().expect("C columns from c on");
            let slot = if F::HALVES { 2 * j } else { j };
            let from: [&[[i32; 16]; C]; 4] = [
                column(&from[slot], g, 0, c),
                column(&from[slot], g, 1, c),
                column(&from[(slot + 1) % BUFFERS], g, 0, c),
                column(&from[(slot + 1) % BUFFERS], g, 1, c),
            ];
            each!(C, i => {
                let d = s.f_splat(x[i].d);
                each!(2, t => {
                    let mut value = s.i_to_f(s.i_load(bytemuck::cast_ref(&from[t][i])));
                    if F::HALVES {
                        let high = s.i_to_f(s.i_load(bytemuck::cast_ref(&from[2 + t][i])));
                        value = s.f_mul(value, s.f_load(&p.half[t][0]));
                        value = s.f_fma(high, s.f_load(&p.half[t][1]), value);
                    }
                    acc[t][i] = s.f_fma(s.f_mul(s.f_load(&p.scale[t]), d), value, acc[t][i]);
                    if F::OFFSET {
                        let sum = p.offset_sum::<S, F>(s, t, &x[i]);
                        acc[t][i] = s.f_fma(s.f_mul(s.f_load(&p.offset[t]), d), sum, acc[t][i]);
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

/// The sums of columns `c..c + C` of a group with tile `t`.
#[inline(always)]
fn column<const C: usize>(sums: &TileSums, g: usize, t: usize, c: usize) -> &[[i32; 16]; C] {
    sums.0[g][t][c..].first_chunk().expect("C of 16 columns")
}
