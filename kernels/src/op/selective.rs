//! State spaces of the first Mamba (arXiv 2312.00752): each channel keeps a column of numbers, each of which fades at a rate
//! of its own.
//!
//! Values go through a [`convolve`] over the last few positions; what they give tells keys, queries (which the paper calls B
//! and C) and how long each channel's step is. With `S` (`[k_dim, width]`), channel by channel:
//!
//! ```text
//! S <- e^(rate step) S + k (step v)        out = S^T q + skip v
//! ```
//!
//! The second Mamba's [`scan`] is the same but that channels share steps and rates, so that no exponential of each number is
//! needed.
//!
//! [`convolve`]: super::convolution::convolve
//! [`scan`]: super::scan

use super::recurrence::{At, Matrices, Rule, apply};
use crate::isa::{Isa, each, load_tail};
use crate::math::exp;
use crate::state::{LANES, StateRows, StateShape};
use crate::team::Crew;

/// The sizes of such a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SelectiveShape {
    /// Channels.
    pub width: usize,
    /// Channels of a key, and of a query: numbers that a channel keeps.
    pub k_dim: usize,
    /// Positions that the convolution sees, its own among them; 1 to [`MAX_TAPS`](crate::state::MAX_TAPS).
    pub taps: usize,
}

impl SelectiveShape {
    /// What [`selective_scan`] writes for each row: `width` rounded up to whole lanes.
    pub fn padded_width(&self) -> usize {
        self.matrices().padded_width()
    }

    /// Multiply-adds of the scan for one row; an exponential counts as ten.
    pub fn operations(&self) -> usize {
        13 * self.padded_width() * self.k_dim
    }

    /// What a layer keeps.
    pub fn state(&self) -> StateShape {
        self.matrices().state(self.taps, self.width)
    }

    /// The row `r` of `rows` that [`selective_scan`] wrote to `from` (`[rows * padded_width]`), to `to` (`[width]`).
    ///
    /// # Panics
    /// When the lengths are others.
    pub fn gather(&self, from: &[f32], rows: usize, r: usize, to: &mut [f32]) {
        self.matrices().gather(from, rows, r, to);
    }

    /// Rates with channels side by side as the scan reads them, `[groups, k_dim, 16]`, from those of one channel after the
    /// other, `[width, k_dim]`.
    ///
    /// # Panics
    /// When there are more or fewer.
    pub fn rates(&self, by_channel: &[f32]) -> Vec<f32> {
        assert_eq!(by_channel.len(), self.width * self.k_dim);
        let mut rates = vec![0.0; self.padded_width() * self.k_dim];
        for (c, of) in by_channel.chunks_exact(self.k_dim).enumerate() {
            let group = &mut rates[c / LANES * self.k_dim * LANES..];
            of.iter().enumerate().for_each(|(i, rate)| group[i * LANES + c % LANES] = *rate);
        }
        rates
    }

    fn matrices(&self) -> Matrices {
        Matrices { heads: 1, k_dim: self.k_dim, v_dim: self.width }
    }
}

/// What the scan reads.
#[derive(Clone, Copy, Debug)]
pub struct Selection<'a> {
    /// The convolution's output, `[rows, width]`.
    pub values: &'a [f32],
    /// The lengths of steps, `[rows, width]`.
    pub steps: &'a [f32],
    /// A key and a query for each row, `[rows, 2, k_dim]`.
    pub keys: &'a [f32],
    /// As [`SelectiveShape::rates`] makes them.
    pub rates: &'a [f32],
    /// How much of a value passes by, `[width]`.
    pub skip: &'a [f32],
}

#[derive(Clone, Copy)]
struct Step<'a> {
    shape: SelectiveShape,
    of: Selection<'a>,
}

impl Rule for Step<'_> {
    #[inline(always)]
    fn groups<S: Isa, const G: usize>(
        self,
        s: S,
        matrices: [&mut [[f32; LANES]]; G],
        out: [&mut [[f32; LANES]]; G],
        At { group, row: first, .. }: At,
    ) {
        let SelectiveShape { width, k_dim, .. } = self.shape;
        let zero = s.f_splat(0.0);
        let rates: &[[f32; LANES]] = &self.of.rates.as_chunks().0[group * k_dim..][..G * k_dim];
        for r in 0..out[0].len() {
            let row = first + r;
            let (k, q) = self.of.keys[row * 2 * k_dim..][..2 * k_dim].split_at(k_dim);
            let (mut step, mut value, mut change) = ([zero; G], [zero; G], [zero; G]);
            let mut sum = [[zero; 2]; G];
            each!(G, g => {
                let of = row * width + (group + g) * LANES..row * width + width.min((group + g + 1) * LANES);
                step[g] = load_tail(s, &self.of.steps[of.clone()]);
                value[g] = load_tail(s, &self.of.values[of]);
                change[g] = s.f_mul(step[g], value[g]);
            });
            macro_rules! key {
                ($i:expr, $parity:literal) => {
                    let (k, q) = (s.f_splat(k[$i]), s.f_splat(q[$i]));
                    each!(G, g => {
                        let decay = exp(s, s.f_mul(step[g], s.f_load(&rates[g * k_dim + $i])));
                        let at = &mut matrices[g][$i];
                        let m = s.f_fma(k, change[g], s.f_mul(decay, s.f_load(at)));
                        s.f_store(at, m);
                        sum[g][$parity] = s.f_fma(q, m, sum[g][$parity]);
                    });
                };
            }
            for i in (0..k_dim).step_by(2) {
                key!(i, 0);
                if i + 1 < k_dim {
                    key!(i + 1, 1);
                }
            }
            each!(G, g => {
                let channels = (group + g) * LANES..width.min((group + g + 1) * LANES);
                let skip = load_tail(s, &self.of.skip[channels]);
                let answer = s.f_add(sum[g][0], sum[g][1]);
                s.f_store(&mut out[g][r], s.f_fma(skip, value[g], answer));
            });
        }
    }
}

/// Goes on by the rows of all `parts`, one after the other within each. Each part's `out` (`[rows * padded_width]`) is for
/// [`SelectiveShape::gather`].
///
/// Sums over keys are two chains of FMAs, of the even and of the odd keys, which are added.
///
/// # Panics
/// When the lengths do not fit the shape.
pub fn selective_scan(
    crew: &Crew<'_>,
    shape: &SelectiveShape,
    parts: &mut [StateRows<'_>],
    of: Selection<'_>,
    out: &mut [f32],
) {
    let rows: usize = parts.iter().map(|p| p.rows).sum();
    let SelectiveShape { width, k_dim, .. } = *shape;
    assert_eq!([of.values.len(), of.steps.len(), of.keys.len()], [rows * width, rows * width, rows * 2 * k_dim]);
    assert_eq!([of.rates.len(), of.skip.len()], [shape.padded_width() * k_dim, width]);
    assert_eq!(out.len(), rows * shape.padded_width());
    parts.iter().for_each(|p| assert_eq!(*p.state.shape(), shape.state()));
    apply(crew, &shape.matrices(), parts, Step { shape: *shape, of }, out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::CpuIsa;
    use crate::op::recurrence::BLOCK;
    use crate::reference;
    use crate::state::RunningState;
    use crate::team::Team;
    use crate::testing::Lcg;

    #[test]
    fn equals_the_reference_on_every_isa_however_rows_are_cut() {
        let mut rng = Lcg(35);
        for (i, (width, k_dim)) in [(1, 1), (16, 16), (50, 7), (33, 16), (160, 16)].into_iter().enumerate() {
            let shape = SelectiveShape { width, k_dim, taps: 2 };
            // The last ones cross the blocks of rows.
            let n = if i < 3 { 11 } else { 2 * BLOCK + 11 };
            let (values, keys, skip) = (rng.floats(n * width), rng.floats(n * 2 * k_dim), rng.floats(width));
            let steps: Vec<f32> = (0..n * width).map(|_| 0.5 + 0.5 * rng.float()).collect();
            let by_channel: Vec<f32> = (0..width * k_dim).map(|_| -1.0 + 0.9 * rng.float()).collect();
            let want = reference::selective_scan(&shape, [&values, &steps, &keys, &by_channel, &skip]);
            assert!(want.iter().all(|v| v.is_finite()) && want.iter().any(|v| v.abs() > 0.1));
            let rates = shape.rates(&by_channel);
            for isa in CpuIsa::available() {
                for (threads, steps_of) in [(1, vec![n]), (3, vec![1; n]), (2, vec![0, 2, 1, n - 3])] {
                    let team = Team::new(threads, isa).unwrap();
                    let mut states = [(); 2].map(|()| RunningState::new(shape.state()).unwrap());
                    let mut at = 0;
                    for step in steps_of {
                        let twice = |x: &[f32], width: usize| x[at * width..(at + step) * width].repeat(2);
                        let (v, s, k) = (twice(&values, width), twice(&steps, width), twice(&keys, 2 * k_dim));
                        let half = step * shape.padded_width();
                        let mut out = vec![f32::NAN; 2 * half];
                        let mut parts = states.each_mut().map(|state| StateRows { state, rows: step });
                        let of = Selection { values: &v, steps: &s, keys: &k, rates: &rates, skip: &skip };
                        team.step(|crew| selective_scan(crew, &shape, &mut parts, of, &mut out)).unwrap();
                        let mut row = vec![f32::NAN; width];
                        for (r, part) in (0..step).flat_map(|r| [(r, &out[..half]), (r, &out[half..])]) {
                            shape.gather(part, step, r, &mut row);
                            let want = &want[(at + r) * width..][..width];
                            let bits = |v: &[f32]| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
                            assert_eq!(bits(&row), bits(want), "{shape:?} {} row {}", isa.kind(), at + r);
                        }
                        at += step;
                    }
                }
            }
        }
    }
}
