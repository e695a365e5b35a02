//! The micro-kernel of every block format: a panel of 32 rows times columns, six at a time in registers (four where those
//! are sixteen of 256 bits).
//!
//! A sub-block of 32 weights takes, per column and tile of 16 rows, 8 instructions with four products a lane (VNNI)
//! and 3 for the scale: with two vector ports that is 73 % of the dot-product peak, 62 % for formats with an offset.
//! Each register of activations is used for both tiles, which halves the loads.

use super::panel::{PairSums, PanelSub};
use crate::format::Form;
use crate::isa::{Isa, Kernel, each};
use crate::op::quantize::{ActBlock, GROUP};
use std::marker::PhantomData;

/// Columns in registers, where there are enough of those.
const WIDE: usize = 6;

/// All columns of `x` (their groups, `columns` rows in all) against a panel which starts at sub-block `k`.
pub(super) struct Micro<'a, F> {
    /// `[pairs, depth]`; more than one pair only for the matrix unit.
    pub(super) panel: &'a [PanelSub],
    x: &'a [ActBlock],
    k: usize,
    /// Whether the sums start here.
    pub(super) fresh: bool,
    /// Whether the panel is for the matrix unit, or for products of pairs.
    tiles: bool,
    /// `[pairs, columns]`.
    pub(super) sums: &'a mut [PairSums],
    pub(super) columns: usize,
    form: PhantomData<F>,
}

impl<'a, F: Form> Micro<'a, F> {
    pub fn new(
        panel: &'a [PanelSub],
        x: &'a [ActBlock],
        k: usize,
        fresh: bool,
        tiles: bool,
        sums: &'a mut [PairSums],
        columns: usize,
    ) -> Self {
        Self { panel, x, k, fresh, tiles, sums, columns, form: PhantomData }
    }

    /// Pairs of tiles in the panel.
    #[inline(always)]
    pub(super) fn pairs(&self) -> usize {
        self.sums.len() / self.columns
    }

    /// Sub-blocks in the panel.
    #[inline(always)]
    pub(super) fn depth(&self) -> usize {
        self.panel.len() / self.pairs()
    }

    /// The blocks of the group that starts at column `c`, from sub-block `k` on, `[depth, height]`; and its height.
    #[inline(always)]
    pub(super) fn group(&self, c: usize) -> (&'a [ActBlock], usize) {
        let subs = self.x.len() / self.columns;
        let height = GROUP.min(self.columns - c);
        let all = &self.x[c * subs..][..height * subs];
        (&all[self.k * height..][..self.depth() * height], height)
    }

    /// Where the blocks of the group behind the one at `c` begin; any address when there is none.
    #[inline(always)]
    pub(super) fn next_group(&self, c: usize) -> *const ActBlock {
        let subs = self.x.len() / self.columns;
        self.x.as_ptr().wrapping_add((c + GROUP) * subs + self.k * GROUP)
    }

    /// Columns `c + i..c + i + C`, where `c` starts a group.
    #[inline(always)]
    fn several<S: Isa, const C: usize>(&mut self, s: S, c: usize, i: usize) {
        let (x, height) = self.group(c);
        // While one part of a group is in use, the same part of the next group is on its way.
        let next = self.next_group(c).wrapping_add(i);
        let sums = &mut self.sums[c + i..][..C];
        let mut acc = [[s.f_splat(0.0); C]; 2];
        if !self.fresh {
            each!(C, j => {
                acc[0][j] = s.f_load(&sums[j][0]);
                acc[1][j] = s.f_load(&sums[j][1]);
            });
        }
        for (k, (p, x)) in self.panel.iter().zip(x.chunks_exact(height)).enumerate() {
            let x: &[ActBlock; C] = x[i..].first_chunk().expect("C columns from i on");
            each!(C, j => { s.prefetch(next.wrapping_add(k * GROUP + j).cast()); });
            let value = isums::<S, F, C>(s, p, x);
            each!(C, j => {
                let d = s.f_splat(x[j].d);
                acc[0][j] = s.f_fma(s.f_mul(s.f_load(&p.scale[0]), d), value[0][j], acc[0][j]);
                acc[1][j] = s.f_fma(s.f_mul(s.f_load(&p.scale[1]), d), value[1][j], acc[1][j]);
                if F::OFFSET {
                    let sums = [p.offset_sum::<S, F>(s, 0, &x[j]), p.offset_sum::<S, F>(s, 1, &x[j])];
                    acc[0][j] = s.f_fma(s.f_mul(s.f_load(&p.offset[0]), d), sums[0], acc[0][j]);
                    acc[1][j] = s.f_fma(s.f_mul(s.f_load(&p.offset[1]), d), sums[1], acc[1][j]);
                }
            });
        }
        each!(C, j => {
            s.f_store(&mut sums[j][0], acc[0][j]);
            s.f_store(&mut sums[j][1], acc[1][j]);
        });
    }
}

/// The integer sums of a sub-block as f32, `[tile][column]`.
#[inline(always)]
fn isums<S: Isa, F: Form, const C: usize>(s: S, p: &PanelSub, x: &[ActBlock; C]) -> [[S::F; C]; 2] {
    let mut q = [&x[0].q; C];
    each!(C, i => { q[i] = &x[i].q; });
    let mut value = [[s.f_splat(0.0); C]; 2];
    if F::HALVES {
        let mut sum = [[s.i_splat(0); C]; 2];
        each!(2, h => {
            each!(C, i => {
                sum[0][i] = x[i].start_half::<S, F>(s, h);
                sum[1][i] = sum[0][i];
            });
            dot_pair::<S, F, C>(s, p, q, [4 * h, 4 * h + 4], &mut sum);
            each!(C, i => {
                each!(2, t => {
                    let factor = s.f_load(&p.half[t][h]);
                    // The low half is exact, as is the sum where factors are integers: see `Form::HALVES`.
                    value[t][i] = s.f_fma(s.i_to_f(sum[t][i]), factor, value[t][i]);
                });
            });
        });
    } else {
        let mut sum = [[s.i_splat(0); C]; 2];
        each!(C, i => {
            sum[0][i] = x[i].start::<S, F>(s);
            sum[1][i] = sum[0][i];
        });
        dot_pair::<S, F, C>(s, p, q, [0, 8], &mut sum);
        each!(C, i => {
            value[0][i] = s.i_to_f(sum[0][i]);
            value[1][i] = s.i_to_f(sum[1][i]);
        });
    }
    value
}

/// [`Isa::dot_pair`] for weights as wide as the form says.
#[inline(always)]
fn dot_pair<S: Isa, F: Form, const C: usize>(
    s: S,
    p: &PanelSub,
    q: [&[[i8; 4]; 8]; C],
    words: [usize; 2],
    sum: &mut [[S::I; C]; 2],
) {
    match F::BITS {
        0..=4 => s.dot_pair::<4, C>(&p.w, q, words, sum),
        5 => s.dot_pair::<5, C>(&p.w, q, words, sum),
        6 => s.dot_pair::<6, C>(&p.w, q, words, sum),
        7 => s.dot_pair::<7, C>(&p.w, q, words, sum),
        _ => s.dot_pair::<8, C>(&p.w, q, words, sum),
    }
}

impl<F: Form> Kernel for Micro<'_, F> {
    type Out = ();
    #[inline(always)]
    fn call<S: Isa>(mut self, s: S) {
        if self.panel.is_empty() {
            self.sums.fill([[0.0; 16]; 2]);
            return;
        }
        if S::TILES && self.tiles {
            return self.tiled(s);
        }
        if S::PAIRS && self.tiles {
            return self.paired(s);
        }
        for c in (0..self.columns).step_by(GROUP) {
            let n = GROUP.min(self.columns - c);
            let mut i = 0;
            if S::COLUMNS >= WIDE {
                if n == GROUP {
                    // Fewer than five columns have too few sums under way to keep two ports busy.
                    self.several::<S, 6>(s, c, 0);
                    self.several::<S, 5>(s, c, 6);
                    self.several::<S, 5>(s, c, 11);
                    continue;
                }
                while n - i >= WIDE {
                    self.several::<S, WIDE>(s, c, i);
                    i += WIDE;
                }
            }
            while n - i >= 4 {
                self.several::<S, 4>(s, c, i);
                i += 4;
            }
            if n - i >= 2 {
                self.several::<S, 2>(s, c, i);
                i += 2;
            }
            if n > i {
                self.several::<S, 1>(s, c, i);
            }
        }
    }
}
