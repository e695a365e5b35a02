//! The micro-kernel on a matrix unit: the unit sums the products of 16 columns and a tile, the vector ports scale them.
//!
//! ```text
//! group of 16 columns
//!   tile of the panel     running sums of 16 columns x 16 rows in registers
//!     sub-block           unit: begin the sums of the step after the next | store those of the next
//!                         ports: scale those of this one
//! ```
//!
//! A step's sums go through a buffer in the nearest cache, one step after they were begun and one before they are used,
//! so neither side waits for the other. What is left to the ports is 3 instructions of the 11 that a sub-block takes
//! without the unit (5 of 13 for forms with an offset).

use super::micro::Micro;
use super::panel::{PanelSub, RowSums};
use crate::format::{Form, TILE_ROWS};
use crate::isa::{Isa, TileSums, each};
use crate::op::quantize::{ActBlock, GROUP};

/// The sums of a step: of its two halves where those have factors of their own, else the first only.
type Sums = [TileSums; 2];

impl<F: Form> Micro<'_, F> {
    /// All columns.
    #[inline(always)]
    pub(super) fn tiled<S: Isa>(&mut self, s: S) {
        assert!(S::TILES);
        let n = self.columns;
        let whole = n / GROUP * GROUP;
        if whole > 0 {
            self.groups::<S, true>(s, [0, whole]);
        }
        if whole < n {
            self.groups::<S, false>(s, [whole, n]);
        }
    }

    /// Columns `range[0]..range[1]`: whole groups, or with `WHOLE` false a shorter one.
    #[inline(always)]
    fn groups<S: Isa, const WHOLE: bool>(&mut self, s: S, range: [usize; 2]) {
        let height = if WHOLE { GROUP } else { range[1] - range[0] };
        let (tiles, depth) = (self.all_tiles(), self.depth());
        let weights: &[PanelSub] = self.panel;
        let (mut buffer, mut short) = ([const { [TileSums::ZERO, TileSums::ZERO] }; 2], [RowSums::default(); GROUP]);
        let [even, odd] = &mut buffer;
        // SAFETY: only instruction sets with a matrix unit come here.
        unsafe { s.tiles_open(height, if F::HALVES { 4 } else { 8 }) };
        // Steps of a group: all sub-blocks of tile 0, then of tile 1, and so on. Whatever is begun last is never used.
        let at = |step: usize| if step < depth { (0, step) } else { (step / depth, step % depth) };
        let sub = |t: usize, k: usize| &weights[(t / 2 * depth + k) * 2 + t % 2];
        let mut x = self.group(range[0]).0;
        start::<S, F, 0>(s, &sub(0, 0).w, &x[..height]);
        let (t, k) = at(1);
        start::<S, F, 1>(s, &sub(t, k).w, &x[k * height..][..height]);
        finish::<S, F, 0>(s, even);
        let mut is_even = true;
        for c in (range[0]..range[1]).step_by(GROUP) {
            let next = if c + GROUP < range[1] { self.group(c + GROUP).0 } else { x };
            let far = self.next_group(c);
            let fresh = self.fresh;
            for t in 0..tiles {
                let home = &mut self.sums[t * self.columns + c..][..height];
                let sums = if WHOLE {
                    home.first_chunk_mut().expect("a whole group")
                } else {
                    short[..height].copy_from_slice(home);
                    &mut short
                };
                let mut acc = [s.f_splat(0.0); GROUP];
                if !fresh {
                    each!(2, h => { each!(8, i => { acc[8 * h + i] = s.f_load(&sums[8 * h + i]); }); });
                }
                for k in 0..depth {
                    let (of, t_ahead, k_ahead) = if k + 2 < depth {
                        (x, t, k + 2)
                    } else {
                        let (further, k) = at(k + 2);
                        if t + further < tiles { (x, t + further, k) } else { (next, t + further - tiles, k) }
                    };
                    let w = &sub(t_ahead, k_ahead).w;
                    let x_ahead = &of[k_ahead * height..][..height];
                    // The same blocks of the next group.
                    let far = far.wrapping_add(k * GROUP + GROUP / tiles * t);
                    each!(4, i => { s.prefetch(far.wrapping_add(i).cast()); });
                    if tiles == 2 {
                        each!(4, i => { s.prefetch(far.wrapping_add(4 + i).cast()); });
                    }
                    let (p, x) = (sub(t, k), &x[k * height..][..height]);
                    if is_even {
                        start::<S, F, 0>(s, w, x_ahead);
                        finish::<S, F, 1>(s, odd);
                        scale::<S, F, WHOLE>(s, p, x, even, &mut acc);
                    } else {
                        start::<S, F, 1>(s, w, x_ahead);
                        finish::<S, F, 0>(s, even);
                        scale::<S, F, WHOLE>(s, p, x, odd, &mut acc);
                    }
                    is_even = !is_even;
                }
                each!(2, h => { each!(8, i => { s.f_store(&mut sums[8 * h + i], acc[8 * h + i]); }); });
                if !WHOLE {
                    self.sums[t * self.columns + c..][..height].copy_from_slice(&short[..height]);
                }
            }
            x = next;
        }
        // SAFETY: as above.
        unsafe { s.tiles_close() };
    }
}

/// Begins the integer sums of a step with `P` 0 and 1 by turns.
#[inline(always)]
fn start<S: Isa, F: Form, const P: usize>(s: S, w: &[[u8; 64]; 8], x: &[ActBlock]) {
    // SAFETY: the unit was opened for groups of this height and for the words of the form.
    unsafe {
        match (P, F::HALVES) {
            (0, false) => s.tiles_start::<0>(w, x, 0),
            (_, false) => s.tiles_start::<1>(w, x, 0),
            (0, true) => {
                s.tiles_start::<0>(w, x, 0);
                s.tiles_start::<1>(w, x, 4);
            }
            (_, true) => {
                s.tiles_start::<2>(w, x, 0);
                s.tiles_start::<3>(w, x, 4);
            }
        }
    }
}

/// Stores the integer sums of the step that was begun with this `P`.
#[inline(always)]
fn finish<S: Isa, F: Form, const P: usize>(s: S, [low, high]: &mut Sums) {
    // SAFETY: as in `start`.
    unsafe {
        match (P, F::HALVES) {
            (0, false) => s.tiles_finish::<0>(low),
            (_, false) => s.tiles_finish::<1>(low),
            (0, true) => {
                s.tiles_finish::<0>(low);
                s.tiles_finish::<1>(high);
            }
            (_, true) => {
                s.tiles_finish::<2>(low);
                s.tiles_finish::<3>(high);
            }
        }
    }
}
/// Adds the scaled sums of a sub-block of a tile. In a group that is not whole, the last column stands in for those
/// that it lacks.
#[inline(always)]
fn scale<S: Isa, F: Form, const WHOLE: bool>(
    s: S,
    p: &PanelSub,
    x: &[ActBlock],
    [low, high]: &Sums,
    acc: &mut [S::F; GROUP],
) {
    let height = if WHOLE { GROUP } else { x.len() };
    let x = &x[..height];
    let scale = s.f_load(&p.scale);
    let offset = s.f_load(&p.offset);
    let half = [s.f_load(&p.half[0]), s.f_load(&p.half[1])];
    each!(2, h => {
        each!(8, i => {
            let i = 8 * h + i;
            let x = &x[if WHOLE { i } else { i.min(height - 1) }];
            let d = s.f_splat(x.d);
            let mut value = s.i_to_f(s.i_load(bytemuck::cast_ref(&low.0[i])));
            if F::HALVES {
                let high = s.i_to_f(s.i_load(bytemuck::cast_ref(&high.0[i])));
                value = s.f_fma(high, half[1], s.f_mul(value, half[0]));
            }
            acc[i] = s.f_fma(s.f_mul(scale, d), value, acc[i]);
            if F::OFFSET {
                acc[i] = s.f_fma(s.f_mul(offset, d), p.offset_sum::<S, F>(s, x), acc[i]);
            }
        });
    });
}

const _: () = assert!(GROUP == TILE_ROWS);
