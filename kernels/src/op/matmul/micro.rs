//! The micro-kernel of every block format: a panel of 32 rows times columns, seven at a time in registers.
//!
//! A sub-block of 32 weights takes, per column and tile of 16 rows, 8 instructions with four products a lane (VNNI)
//! and 3 for the scale: with two vector ports that is 73 % of the dot-product peak, 62 % for formats with an offset.
//! Each register of activations is used for both tiles, which halves the loads.

use super::panel::{PairSums, PanelSub};
use crate::format::{Form, SUB};
use crate::isa::{Isa, Kernel, each};
use crate::op::quantize::ActBlock;
use std::marker::PhantomData;

/// Columns in registers.
const WIDE: usize = 7;

/// All columns of `x` (`[sums.len(), subs]`) against a panel which starts at sub-block `k`.
pub(super) struct Micro<'a, F> {
    pub(super) panel: &'a [PanelSub],
    pub(super) x: &'a [ActBlock],
    pub(super) k: usize,
    /// Whether the sums start here.
    pub(super) fresh: bool,
    pub(super) sums: &'a mut [PairSums],
    form: PhantomData<F>,
}

impl<'a, F: Form> Micro<'a, F> {
    pub fn new(panel: &'a [PanelSub], x: &'a [ActBlock], k: usize, fresh: bool, sums: &'a mut [PairSums]) -> Self {
        Self { panel, x, k, fresh, sums, form: PhantomData }
    }

    #[inline(always)]
    fn columns<S: Isa, const C: usize>(&mut self, s: S, c: usize) {
        let subs = self.x.len() / self.sums.len();
        let n = self.panel.len();
        let mut x = [self.x; C];
        each!(C, i => { x[i] = &self.x[(c + i) * subs + self.k..][..n]; });
        // The next columns lie a row of `x` further on each; asked for now, they are near when their turn comes.
        let next = self.x[((c + C).min(self.sums.len() - 1)) * subs + self.k..].as_ptr();
        let sums = &mut self.sums[c..c + C];
        let mut acc = [[s.f_splat(0.0); C]; 2];
        if !self.fresh {
            each!(C, i => {
                acc[0][i] = s.f_load(&sums[i][0]);
                acc[1][i] = s.f_load(&sums[i][1]);
            });
        }
        for k in 0..n {
            let p = &self.panel[k];
            each!(C, i => { s.prefetch(next.wrapping_add(i * subs + k).cast()); });
            let mut q = [&x[0][0].q; C];
            each!(C, i => { q[i] = &x[i][k].q; });
            let value = isums::<S, F, C>(s, p, &x, q, k);
            each!(C, i => {
                let d = s.f_splat(x[i][k].d);
                acc[0][i] = s.f_fma(s.f_mul(s.f_load(&p.scale[0]), d), value[0][i], acc[0][i]);
                acc[1][i] = s.f_fma(s.f_mul(s.f_load(&p.scale[1]), d), value[1][i], acc[1][i]);
                if F::OFFSET {
                    let sum = s.f_splat(x[i][k].sum);
                    acc[0][i] = s.f_fma(s.f_mul(s.f_load(&p.offset[0]), d), sum, acc[0][i]);
                    acc[1][i] = s.f_fma(s.f_mul(s.f_load(&p.offset[1]), d), sum, acc[1][i]);
                }
            });
        }
        each!(C, i => {
            s.f_store(&mut sums[i][0], acc[0][i]);
            s.f_store(&mut sums[i][1], acc[1][i]);
        });
    }
}

/// The integer sums of sub-block `k` as f32, `[tile][column]`.
#[inline(always)]
fn isums<S: Isa, F: Form, const C: usize>(
    s: S,
    p: &PanelSub,
    x: &[&[ActBlock]; C],
    q: [&[[i8; 4]; SUB / 4]; C],
    k: usize,
) -> [[S::F; C]; 2] {
    let mut value = [[s.f_splat(0.0); C]; 2];
    if F::HALVES {
        let mut sum = [[s.i_splat(0); C]; 2];
        each!(2, h => {
            each!(C, i => {
                sum[0][i] = x[i][k].start_half::<S, F>(s, h);
                sum[1][i] = sum[0][i];
            });
            s.dot_pair::<6, C>(&p.w, q, [4 * h, 4 * h + 4], &mut sum);
            each!(C, i => {
                each!(2, t => {
                    let factor = s.f_load(&p.half[t][h]);
                    // Exact: see `Form::HALVES`.
                    value[t][i] = s.f_fma(s.i_to_f(sum[t][i]), factor, value[t][i]);
                });
            });
        });
    } else {
        let mut sum = [[s.i_splat(0); C]; 2];
        each!(C, i => {
            sum[0][i] = x[i][k].start::<S, F>(s);
            sum[1][i] = sum[0][i];
        });
        match F::BITS {
            0..=4 => s.dot_pair::<4, C>(&p.w, q, [0, 8], &mut sum),
            5 => s.dot_pair::<5, C>(&p.w, q, [0, 8], &mut sum),
            6 => s.dot_pair::<6, C>(&p.w, q, [0, 8], &mut sum),
            7 => s.dot_pair::<7, C>(&p.w, q, [0, 8], &mut sum),
            _ => s.dot_pair::<8, C>(&p.w, q, [0, 8], &mut sum),
        }
        each!(C, i => {
            value[0][i] = s.i_to_f(sum[0][i]);
            value[1][i] = s.i_to_f(sum[1][i]);
        });
    }
    value
}

impl<F: Form> Kernel for Micro<'_, F> {
    type Out = ();
    #[inline(always)]
    fn call<S: Isa>(mut self, s: S) {
        if self.panel.is_empty() {
            self.sums.fill([[0.0; 16]; 2]);
            return;
        }
        if S::TILES {
            return self.tiled(s);
        }
        let n = self.sums.len();
        let mut c = 0;
        while n - c >= WIDE {
            self.columns::<S, WIDE>(s, c);
            c += WIDE;
        }
        if n - c >= 4 {
            self.columns::<S, 4>(s, c);
            c += 4;
        }
        if n - c >= 2 {
            self.columns::<S, 2>(s, c);
            c += 2;
        }
        if n > c {
            self.columns::<S, 1>(s, c);
        }
    }
}
