//! The micro-kernel of every block format: a panel of three tiles times columns, four at a time in registers, or of two
//! tiles times six (four where registers are sixteen of 256 bits).
//!
//! A sub-block of 32 weights takes, per column and tile of 16 rows, 8 instructions with four products a lane (VNNI)
//! and 3 for the scale: with two vector ports that is 73 % of the dot-product peak, 62 % for formats with an offset.
//! Each register of activations is used for all tiles, which saves as many loads.

use super::panel::{PanelSub, RowSums};
use crate::format::{Form, TILE_ROWS};
use crate::isa::{Isa, Kernel, each};
use crate::op::quantize::{ActBlock, GROUP};
use std::marker::PhantomData;

/// Columns in registers with two tiles, where there are enough of those.
const WIDE: usize = 6;

/// All columns of `x` (their groups, `columns` rows in all) against a panel which starts at sub-block `k`.
pub(super) struct Micro<'a, F> {
    /// `[depth, tiles]`; for the matrix unit, `[pairs, depth, 2]`.
    pub(super) panel: &'a [PanelSub],
    x: &'a [ActBlock],
    k: usize,
    /// Whether the sums start here.
    pub(super) fresh: bool,
    /// Whether the panel is for the matrix unit, or for products of pairs.
    tiles: bool,
    /// `[tiles, columns]`.
    pub(super) sums: &'a mut [RowSums],
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
        sums: &'a mut [RowSums],
        columns: usize,
    ) -> Self {
        Self { panel, x, k, fresh, tiles, sums, columns, form: PhantomData }
    }

    /// Tiles in the panel.
    #[inline(always)]
    pub(super) fn all_tiles(&self) -> usize {
        self.sums.len() / self.columns
    }

    /// Sub-blocks in the panel.
    #[inline(always)]
    pub(super) fn depth(&self) -> usize {
        self.panel.len() / self.all_tiles()
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
    fn several<S: Isa, const T: usize, const C: usize>(&mut self, s: S, c: usize, i: usize) {
        let (x, height) = self.group(c);
        // While one part of a group is in use, the same part of the next group is on its way; with three tiles in the nearest
        // cache, which leave less room there, the next part.
        let next = match T {
            3 if i + C < height => x.as_ptr().wrapping_add(i + C),
            3 => self.next_group(c),
            _ => self.next_group(c).wrapping_add(i),
        };
        let mut acc = [[s.f_splat(0.0); C]; T];
        if !self.fresh {
            each!(T, t => {
                let sums: &[RowSums; C] = self.sums[t * self.columns + c + i..].first_chunk().expect("C columns");
                each!(C, j => { acc[t][j] = s.f_load(&sums[j]); });
            });
        }
        for (k, (p, x)) in self.panel.as_chunks().0.iter().zip(x.chunks_exact(height)).enumerate() {
            let p: &[PanelSub; T] = p;
            let x: &[ActBlock; C] = x[i..].first_chunk().expect("C columns from i on");
            each!(C, j => { s.prefetch(next.wrapping_add(k * GROUP + j).cast()); });
            let value = isums::<S, F, T, C>(s, p, x);
            each!(C, j => {
                let d = s.f_splat(x[j].d);
                each!(T, t => {
                    acc[t][j] = s.f_fma(s.f_mul(s.f_load(&p[t].scale), d), value[t][j], acc[t][j]);
                });
                if F::OFFSET {
                    each!(T, t => {
                        let sum = p[t].offset_sum::<S, F>(s, &x[j]);
                        acc[t][j] = s.f_fma(s.f_mul(s.f_load(&p[t].offset), d), sum, acc[t][j]);
                    });
                }
            });
        }
        each!(T, t => {
            let sums = self.sums[t * self.columns + c + i..].first_chunk_mut::<C>().expect("C columns");
            each!(C, j => { s.f_store(&mut sums[j], acc[t][j]); });
        });
    }

    /// All columns, with a panel of `T` tiles.
    #[inline(always)]
    fn all<S: Isa, const T: usize>(&mut self, s: S) {
        for c in (0..self.columns).step_by(GROUP) {
            let n = GROUP.min(self.columns - c);
            let mut i = 0;
            if T == 2 && S::COLUMNS >= WIDE {
                if n == GROUP {
                    // Fewer than five columns have too few sums under way to keep two ports busy.
                    self.several::<S, T, 6>(s, c, 0);
                    self.several::<S, T, 5>(s, c, 6);
                    self.several::<S, T, 5>(s, c, 11);
                    continue;
                }
                while n - i >= WIDE {
                    self.several::<S, T, WIDE>(s, c, i);
                    i += WIDE;
                }
            }
            while n - i >= 4 {
                self.several::<S, T, 4>(s, c, i);
                i += 4;
            }
            if n - i >= 2 {
                self.several::<S, T, 2>(s, c, i);
                i += 2;
            }
            if n > i {
                self.several::<S, T, 1>(s, c, i);
            }
        }
    }
}

/// The integer sums of a sub-block as f32, `[tile][column]`.
#[inline(always)]
fn isums<S: Isa, F: Form, const T: usize, const C: usize>(
    s: S,
    p: &[PanelSub; T],
    x: &[ActBlock; C],
) -> [[S::F; C]; T] {
    let mut q = [&x[0].q; C];
    each!(C, i => { q[i] = &x[i].q; });
    let mut w = [&p[0].w; T];
    each!(T, t => { w[t] = &p[t].w; });
    let mut value = [[s.f_splat(0.0); C]; T];
    if F::HALVES {
        let mut sum = [[s.i_splat(0); C]; T];
        each!(2, h => {
            each!(C, i => {
                let start = x[i].start_half::<S, F>(s, h);
                each!(T, t => { sum[t][i] = start; });
            });
            dot_tiles::<S, F, T, C>(s, w, q, [4 * h, 4 * h + 4], &mut sum);
            each!(C, i => {
                each!(T, t => {
                    let factor = s.f_load(&p[t].half[h]);
                    // The low half is exact, as is the sum where factors are integers: see `Form::HALVES`.
                    value[t][i] = s.f_fma(s.i_to_f(sum[t][i]), factor, value[t][i]);
                });
            });
        });
    } else {
        let mut sum = [[s.i_splat(0); C]; T];
        each!(C, i => {
            let start = x[i].start::<S, F>(s);
            each!(T, t => { sum[t][i] = start; });
        });
        dot_tiles::<S, F, T, C>(s, w, q, [0, 8], &mut sum);
        each!(T, t => {
            each!(C, i => { value[t][i] = s.i_to_f(sum[t][i]); });
        });
    }
    value
}

/// [`Isa::dot_tiles`] for weights as wide as the form says.
#[inline(always)]
fn dot_tiles<S: Isa, F: Form, const T: usize, const C: usize>(
    s: S,
    w: [&[[u8; 64]; 8]; T],
    q: [&[[i8; 4]; 8]; C],
    words: [usize; 2],
    sum: &mut [[S::I; C]; T],
) {
    match F::BITS {
        0..=4 => s.dot_tiles::<4, T, C>(w, q, words, sum),
        5 => s.dot_tiles::<5, T, C>(w, q, words, sum),
        6 => s.dot_tiles::<6, T, C>(w, q, words, sum),
        7 => s.dot_tiles::<7, T, C>(w, q, words, sum),
        _ => s.dot_tiles::<8, T, C>(w, q, words, sum),
    }
}

/// Tiles of a panel at best. Halves keep a second sum of each tile and column, for which three tiles leave no registers
/// (measured on a Cascade Lake: Q6_K 7 % slower).
pub(super) const fn together<S: Isa, F: Form>() -> usize {
    if F::HALVES { 2 } else { S::TOGETHER }
}

impl<F: Form> Kernel for Micro<'_, F> {
    type Out = ();
    #[inline(always)]
    fn call<S: Isa>(mut self, s: S) {
        if self.panel.is_empty() {
            self.sums.fill([0.0; TILE_ROWS]);
        } else if S::TILES && self.tiles {
            self.tiled(s);
        } else if S::PAIRS && self.tiles {
            self.paired(s);
        } else if together::<S, F>() == 3 && self.all_tiles() == 3 {
            self.all::<S, 3>(s);
        } else {
            self.all::<S, 2>(s);
        }
    }
}
