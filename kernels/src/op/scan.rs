//! State spaces of the second Mamba (arXiv 2405.21060): layers that keep a matrix a head, as gated delta nets do, and only
//! ever add to what it holds.
//!
//! Values, keys and queries of all heads (which the paper calls x, B and C) go through a [`convolve`] over the last few
//! positions. Then each head's matrix `S` (`[k_dim, v_dim]`) fades by a factor and takes up the value, as much of it as the
//! position's step is long:
//!
//! ```text
//! S <- decay S + k (step v)^T        out = S^T q + skip v
//! ```
//!
//! Position by position, in this order whatever the step. As no row has to wait for an answer, a few rows are worked on
//! while a key's part of the matrix is in registers.
//!
//! [`convolve`]: super::convolution::convolve

use super::recurrence::{AHEAD, At, Matrices, Rule, apply};
use crate::isa::{Isa, each, load_tail};
use crate::state::{LANES, StateRows, StateShape};
use crate::team::Crew;

/// Rows worked on together, where there are so many: as registers allow.
const ROWS: [usize; 2] = [2, 4];

/// The sizes of such a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanShape {
    /// Heads of values; each has a matrix.
    pub heads: usize,
    /// Heads of keys, and of queries, each shared by neighbouring heads of values; divides `heads`.
    pub key_heads: usize,
    /// Channels of a key, and of a query.
    pub k_dim: usize,
    /// Channels of a value.
    pub v_dim: usize,
    /// Positions that the convolution sees, its own among them; 1 to [`MAX_TAPS`](crate::state::MAX_TAPS).
    pub taps: usize,
}

impl ScanShape {
    /// Channels that are convolved: those of values, keys and queries, in this order.
    pub fn channels(&self) -> usize {
        self.width() + 2 * self.key_heads * self.k_dim
    }

    /// Channels of the values, and of the output.
    pub fn width(&self) -> usize {
        self.heads * self.v_dim
    }

    /// What [`scan`] writes for each row: `width` with every head rounded up to whole lanes.
    pub fn padded_width(&self) -> usize {
        self.matrices().padded_width()
    }

    /// Multiply-adds of the scan for one row.
    pub fn operations(&self) -> usize {
        3 * self.padded_width() * self.k_dim
    }

    /// What a layer keeps.
    pub fn state(&self) -> StateShape {
        self.matrices().state(self.taps, self.channels())
    }

    /// The row `r` of `rows` that [`scan`] wrote to `from` (`[rows * padded_width]`), to `to` (`[width]`).
    ///
    /// # Panics
    /// When the lengths are others.
    pub fn gather(&self, from: &[f32], rows: usize, r: usize, to: &mut [f32]) {
        self.matrices().gather(from, rows, r, to);
    }

    fn matrices(&self) -> Matrices {
        Matrices { heads: self.heads, k_dim: self.k_dim, v_dim: self.v_dim }
    }
}

/// What each head does besides.
#[derive(Clone, Copy, Debug)]
pub struct ScanGates<'a> {
    /// What each head keeps of its matrix, then how much of a value it takes up, `[rows, 2, heads]`.
    pub gates: &'a [f32],
    /// How much of a value passes by the matrix, `[heads]`.
    pub skip: &'a [f32],
}

/// What all work reads.
#[derive(Clone, Copy)]
struct Step<'a> {
    shape: ScanShape,
    /// `[rows, channels]`
    vkq: &'a [f32],
    gates: ScanGates<'a>,
}

impl<'a> Step<'a> {
    #[inline(always)]
    fn row(&self, row: usize) -> &'a [f32] {
        &self.vkq[row * self.shape.channels()..][..self.shape.channels()]
    }

    /// The value of head `head` in row `row`, from group `group` of lanes on.
    #[inline(always)]
    fn value(&self, row: usize, head: usize, group: usize) -> &'a [f32] {
        &self.row(row)[head * self.shape.v_dim..][group * LANES..self.shape.v_dim]
    }

    /// The key and the query of head `head` in row `row`.
    #[inline(always)]
    fn key_and_query(&self, row: usize, head: usize) -> [&'a [f32]; 2] {
        let ScanShape { heads, key_heads, k_dim, .. } = self.shape;
        let key = self.shape.width() + head / (heads / key_heads) * k_dim;
        let (row, query) = (self.row(row), key + key_heads * k_dim);
        [&row[key..][..k_dim], &row[query..][..k_dim]]
    }

    /// `N` rows from `at` on, whose outputs are the rows of `out` from `first` on.
    #[inline(always)]
    fn rows<S: Isa, const G: usize, const N: usize>(
        &self,
        s: S,
        matrices: &mut [&mut [[f32; LANES]]; G],
        out: &mut [&mut [[f32; LANES]]; G],
        first: usize,
        At { head, group, row }: At,
    ) {
        let ScanShape { heads, k_dim, .. } = self.shape;
        let zero = s.f_splat(0.0);
        let (mut keys, mut queries): ([&[f32]; N], [&[f32]; N]) = ([&[]; N], [&[]; N]);
        let (mut decay, mut change, mut sum) = ([zero; N], [[zero; G]; N], [[[zero; 2]; G]; N]);
        each!(N, r => {
            [keys[r], queries[r]] = self.key_and_query(row + r, head);
            let gates = &self.gates.gates[(row + r) * 2 * heads..][..2 * heads];
            decay[r] = s.f_splat(gates[head]);
            let v = self.value(row + r, head, group);
            each!(G, g => {
                let v = load_tail(s, &v[g * LANES..v.len().min((g + 1) * LANES)]);
                change[r][g] = s.f_mul(s.f_splat(gates[heads + head]), v);
            });
        });
        macro_rules! key {
            ($i:expr, $parity:literal) => {
                let mut m = [zero; G];
                each!(G, g => { m[g] = s.f_load(&matrices[g][$i]) });
                each!(N, r => {
                    let (k, q) = (s.f_splat(keys[r][$i]), s.f_splat(queries[r][$i]));
                    each!(G, g => {
                        m[g] = s.f_fma(k, change[r][g], s.f_mul(decay[r], m[g]));
                        sum[r][g][$parity] = s.f_fma(q, m[g], sum[r][g][$parity]);
                    });
                });
                each!(G, g => { s.f_store(&mut matrices[g][$i], m[g]) });
            };
        }
        for i in (0..k_dim).step_by(2) {
            key!(i, 0);
            if i + 1 < k_dim {
                key!(i + 1, 1);
            }
        }
        let skip = s.f_splat(self.gates.skip[head]);
        each!(N, r => {
            let v = self.value(row + r, head, group);
            each!(G, g => {
                let v = load_tail(s, &v[g * LANES..v.len().min((g + 1) * LANES)]);
                let answer = s.f_add(sum[r][g][0], sum[r][g][1]);
                s.f_store(&mut out[g][first + r], s.f_fma(skip, v, answer));
            });
        });
    }

    /// All rows, `N` at a time.
    #[inline(always)]
    fn blocks<S: Isa, const G: usize, const N: usize>(
        &self,
        s: S,
        matrices: &mut [&mut [[f32; LANES]]; G],
        out: &mut [&mut [[f32; LANES]]; G],
        at: At,
    ) {
        let (rows, mut r) = (out[0].len(), 0);
        while r + N <= rows {
            for later in r + N + AHEAD..rows.min(r + 2 * N + AHEAD) {
                self.foresee(s, at.row + later, at.head, at.group);
            }
            self.rows::<S, G, N>(s, matrices, out, r, At { row: at.row + r, ..at });
            r += N;
        }
        for r in r..rows {
            self.rows::<S, G, 1>(s, matrices, out, r, At { row: at.row + r, ..at });
        }
    }

    /// Asks for what row `row` reads.
    #[inline(always)]
    fn foresee<S: Isa>(&self, s: S, row: usize, head: usize, group: usize) {
        let [k, q] = self.key_and_query(row, head);
        let v = self.value(row, head, group);
        for part in [k, q, &v[..v.len().min(2 * LANES)]] {
            part.iter().step_by(LANES).for_each(|x| s.prefetch(std::ptr::from_ref(x).cast()));
        }
    }
}

impl Rule for Step<'_> {
    #[inline(always)]
    fn groups<S: Isa, const G: usize>(
        self,
        s: S,
        mut matrices: [&mut [[f32; LANES]]; G],
        mut out: [&mut [[f32; LANES]]; G],
        at: At,
    ) {
        // A branch on a constant: only one of them is there.
        match S::MANY {
            true => self.blocks::<S, G, { ROWS[1] }>(s, &mut matrices, &mut out, at),
            false => self.blocks::<S, G, { ROWS[0] }>(s, &mut matrices, &mut out, at),
        }
    }
}

/// Goes on by the rows of all `parts`, one after the other within each: `vkq` (`[rows, channels]`) as [`convolve`] leaves
/// them. Each part's `out` (`[rows * padded_width]`) is for [`ScanShape::gather`].
///
/// Sums over keys are two chains of FMAs, of the even and of the odd keys, which are added.
///
/// # Panics
/// When the lengths do not fit the shape.
///
/// [`convolve`]: super::convolution::convolve
pub fn scan(
    crew: &Crew<'_>,
    shape: &ScanShape,
    parts: &mut [StateRows<'_>],
    vkq: &[f32],
    gates: ScanGates<'_>,
    out: &mut [f32],
) {
    let rows: usize = parts.iter().map(|p| p.rows).sum();
    assert!(vkq.len() == rows * shape.channels() && gates.gates.len() == rows * 2 * shape.heads, "[rows, ...]");
    assert_eq!((gates.skip.len(), out.len()), (shape.heads, rows * shape.padded_width()));
    // The convolution may be of the values alone.
    parts.iter().for_each(|p| assert_eq!(p.state.shape().matrices, shape.state().matrices));
    apply(crew, &shape.matrices(), parts, Step { shape: *shape, vkq, gates }, out);
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
        let mut rng = Lcg(34);
        let shapes = [
            (1, 1, 1, 1),
            (1, 1, 16, 16),
            (4, 2, 7, 20),
            (6, 2, 33, 33),
            (3, 1, 16, 50),
            (2, 2, 128, 64),
            (4, 1, 64, 1),
        ];
        for (i, (heads, key_heads, k_dim, v_dim)) in shapes.into_iter().enumerate() {
            let shape = ScanShape { heads, key_heads, k_dim, v_dim, taps: 2 };
            // The last ones cross the blocks of rows.
            let n = if i < 4 { 11 } else { 2 * BLOCK + 11 };
            let (channels, gate) = (shape.channels(), 2 * heads);
            let (vkq, skip) = (rng.floats(n * channels), rng.floats(heads));
            let gates: Vec<f32> = (0..n * gate).map(|_| 0.5 + 0.5 * rng.float()).collect();
            let want = reference::scan(&shape, &vkq, &gates, &skip);
            assert!(want.iter().all(|v| v.is_finite()) && want.iter().any(|v| v.abs() > 0.1));
            for isa in CpuIsa::available() {
                for (threads, steps) in [(1, vec![n]), (3, vec![1; n]), (2, vec![0, 2, 1, n - 3])] {
                    let team = Team::new(threads, isa).unwrap();
                    let mut states =
                        [RunningState::new(shape.state()).unwrap(), RunningState::new(shape.state()).unwrap()];
                    let mut at = 0;
                    for step in steps {
                        let twice = |x: &[f32], width: usize| x[at * width..(at + step) * width].repeat(2);
                        let (x, g) = (twice(&vkq, channels), twice(&gates, gate));
                        let half = step * shape.padded_width();
                        let mut out = vec![f32::NAN; 2 * half];
                        let mut parts = states.each_mut().map(|state| StateRows { state, rows: step });
                        let gates = ScanGates { gates: &g, skip: &skip };
                        team.step(|crew| scan(crew, &shape, &mut parts, &x, gates, &mut out)).unwrap();
                        let mut row = vec![f32::NAN; shape.width()];
                        for (r, part) in (0..step).flat_map(|r| [(r, &out[..half]), (r, &out[half..])]) {
                            shape.gather(part, step, r, &mut row);
                            let want = &want[(at + r) * shape.width()..][..shape.width()];
                            let bits = |v: &[f32]| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
                            assert_eq!(bits(&row), bits(want), "{shape:?} {} row {}", isa.kind(), at + r);
                        }
                        at += step;
                    }
                }
            }
        }
    }

    #[test]
    fn a_matrix_takes_up_and_fades() {
        // A value written under one key is answered to it, half as much with each row, and what passes by is added.
        let shape = ScanShape { heads: 1, key_heads: 1, k_dim: 3, v_dim: 2, taps: 1 };
        let row = |v: f32, k: [f32; 3], q: [f32; 3]| [&[v, -v], &k[..], &q[..]].concat();
        let (first, second, none) = ([1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0; 3]);
        let vkq = [row(8.0, first, first), row(2.0, second, first), row(0.0, none, second), row(0.0, none, first)];
        let gates = [[0.5, 1.0]; 4].concat();
        let mut state = RunningState::new(shape.state()).unwrap();
        let mut out = vec![f32::NAN; 4 * 16];
        let mut parts = [StateRows { state: &mut state, rows: 4 }];
        let gates = ScanGates { gates: &gates, skip: &[0.25] };
        let team = Team::new(1, CpuIsa::best()).unwrap();
        team.step(|crew| scan(crew, &shape, &mut parts, &vkq.concat(), gates, &mut out)).unwrap();
        let seen: Vec<[f32; 2]> = out.chunks(16).map(|row| [row[0], row[1]]).collect();
        assert_eq!(seen, [[10.0, -10.0], [4.5, -4.5], [1.0, -1.0], [1.0, -1.0]]);
    }
}
