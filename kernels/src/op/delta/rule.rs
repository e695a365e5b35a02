//! The gated delta rule: one pass over a group of a matrix updates it for one row, answers the row's query and the next
//! row's key.

use super::DeltaShape;
use crate::isa::{Isa, each, load_tail};
use crate::op::recurrence::{AHEAD, At, Rule, apply};
use crate::state::{LANES, StateRows};
use crate::team::Crew;

/// What all work reads.
#[derive(Clone, Copy)]
struct Step<'a> {
    shape: DeltaShape,
    /// `[rows, channels]`
    qkv: &'a [f32],
    /// `[rows, 2, v_heads]`
    gates: &'a [f32],
}

impl<'a> Step<'a> {
    /// Head `head` of row `row`, counted over queries, keys and values.
    #[inline(always)]
    fn of(&self, row: usize, head: usize) -> &'a [f32] {
        &self.qkv[row * self.shape.channels() + head * self.shape.dim..][..self.shape.dim]
    }
}

/// Adds `a * b` to the chain of parity `i`.
macro_rules! chain {
    ($s:ident, $sum:expr, $i:literal, $a:expr, $b:expr) => {
        $sum[$i] = $s.f_fma($a, $b, $sum[$i])
    };
}

impl Rule for Step<'_> {
    #[inline(always)]
    fn groups<S: Isa, const G: usize>(
        self,
        s: S,
        matrices: [&mut [[f32; LANES]]; G],
        out: [&mut [[f32; LANES]]; G],
        At { head, group, row: first }: At,
    ) {
        let DeltaShape { k_heads, v_heads, dim, .. } = self.shape;
        let (key, rows) = (self.shape.key_head(head), out[0].len());
        let zero = [[s.f_splat(0.0); 2]; G];
        // What the matrix answers to the first key.
        let mut answer = zero;
        let k = self.of(first, k_heads + key);
        for i in (0..dim).step_by(2) {
            each!(G, g => { chain!(s, answer[g], 0, s.f_splat(k[i]), s.f_load(&matrices[g][i])) });
            if i + 1 < dim {
                each!(G, g => { chain!(s, answer[g], 1, s.f_splat(k[i + 1]), s.f_load(&matrices[g][i + 1])) });
            }
        }
        for r in 0..rows {
            let row = first + r;
            let gates = &self.gates[row * 2 * v_heads..][..2 * v_heads];
            let (decay, beta) = (gates[head], gates[v_heads + head]);
            let (q, k) = (self.of(row, key), self.of(row, k_heads + key));
            // After the last row the same once more, for nothing.
            let next = self.of(if r + 1 < rows { row + 1 } else { row }, k_heads + key);
            let v = self.of(row, 2 * k_heads + head);
            if r + AHEAD < rows {
                let later = row + AHEAD;
                let v = &self.of(later, 2 * k_heads + head)[group * LANES..];
                for part in [self.of(later, key), self.of(later, k_heads + key), &v[..v.len().min(G * LANES)]] {
                    part.iter().step_by(LANES).for_each(|x| s.prefetch(std::ptr::from_ref(x).cast()));
                }
            }
            let mut change = [s.f_splat(0.0); G];
            each!(G, g => {
                let v = load_tail(s, &v[(group + g) * LANES..dim.min((group + g + 1) * LANES)]);
                let held = s.f_add(answer[g][0], answer[g][1]);
                change[g] = s.f_mul(s.f_splat(beta), s.f_fma(s.f_splat(-decay), held, v));
            });
            let decay = s.f_splat(decay);
            let mut sum = zero;
            answer = zero;
            macro_rules! row {
                ($i:expr, $parity:literal) => {
                    let (k, q, next) = (s.f_splat(k[$i]), s.f_splat(q[$i]), s.f_splat(next[$i]));
                    each!(G, g => {
                        let at = &mut matrices[g][$i];
                        let m = s.f_fma(k, change[g], s.f_mul(decay, s.f_load(at)));
                        s.f_store(at, m);
                        chain!(s, sum[g], $parity, q, m);
                        chain!(s, answer[g], $parity, next, m);
                    });
                };
            }
            for i in (0..dim).step_by(2) {
                row!(i, 0);
                if i + 1 < dim {
                    row!(i + 1, 1);
                }
            }
            each!(G, g => { s.f_store(&mut out[g][r], s.f_add(sum[g][0], sum[g][1])) });
        }
    }
}

/// Applies the rule to the rows of all `parts`, one after the other within each: `qkv` (`[rows, channels]`) as [`convolve`]
/// leaves them, `gates` (`[rows, 2, v_heads]`) has what each head keeps of its matrix, then how much it corrects. Each part's
/// `out` (`[rows * padded_width]`) is for [`DeltaShape::gather`].
///
/// Sums over keys are two chains of FMAs, of the even and of the odd keys, which are added.
///
/// # Panics
/// When the lengths do not fit the shape.
///
/// [`convolve`]: crate::op::convolution::convolve
pub fn delta_rule(
    crew: &Crew<'_>,
    shape: &DeltaShape,
    parts: &mut [StateRows<'_>],
    qkv: &[f32],
    gates: &[f32],
    out: &mut [f32],
) {
    let rows: usize = parts.iter().map(|p| p.rows).sum();
    assert!(qkv.len() == rows * shape.channels() && gates.len() == rows * 2 * shape.v_heads, "[rows, ...]");
    assert_eq!(out.len(), rows * shape.padded_width());
    parts.iter().for_each(|p| assert_eq!(*p.state.shape(), shape.state()));
    apply(crew, &shape.matrices(), parts, Step { shape: *shape, qkv, gates }, out);
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
        let mut rng = Lcg(32);
        let shapes = [(1, 1, 1), (1, 1, 16), (2, 4, 20), (2, 6, 33), (1, 3, 50), (2, 2, 128)];
        for (i, (k_heads, v_heads, dim)) in shapes.into_iter().enumerate() {
            let shape = DeltaShape { k_heads, v_heads, dim, taps: 2, interleaved: i % 2 == 0 };
            // The last ones cross the blocks of rows.
            let n = if i < 4 { 9 } else { 2 * BLOCK + 9 };
            let (channels, gate) = (shape.channels(), 2 * v_heads);
            let qkv = rng.floats(n * channels);
            let gates: Vec<f32> = (0..n * gate).map(|_| 0.5 + 0.5 * rng.float()).collect();
            let want = reference::delta_rule(&shape, &qkv, &gates);
            assert!(want.iter().all(|v| v.is_finite()) && want.iter().any(|v| v.abs() > 0.1));
            for isa in CpuIsa::available() {
                for (threads, steps) in [(1, vec![n]), (3, vec![1; n]), (2, vec![0, 2, 1, n - 3])] {
                    let team = Team::new(threads, isa).unwrap();
                    let mut states =
                        [RunningState::new(shape.state()).unwrap(), RunningState::new(shape.state()).unwrap()];
                    let mut at = 0;
                    for step in steps {
                        let twice = |x: &[f32], width: usize| x[at * width..(at + step) * width].repeat(2);
                        let (x, g) = (twice(&qkv, channels), twice(&gates, gate));
                        let mut out = vec![f32::NAN; 2 * step * shape.padded_width()];
                        let mut parts = states.each_mut().map(|state| StateRows { state, rows: step });
                        team.step(|crew| delta_rule(crew, &shape, &mut parts, &x, &g, &mut out)).unwrap();
                        for out in out.chunks_exact(step.max(1) * shape.padded_width()) {
                            for r in 0..step {
                                let mut row = vec![f32::NAN; shape.width()];
                                shape.gather(out, step, r, &mut row);
                                let want = &want[(at + r) * shape.width()..][..shape.width()];
                                let bits = |v: &[f32]| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
                                assert_eq!(bits(&row), bits(want), "{shape:?} {} row {at} + {r}", isa.kind());
                            }
                        }
                        at += step;
                    }
                }
            }
        }
    }

    #[test]
    fn a_matrix_learns_and_forgets() {
        // One key after the other along the axes: with beta = 1 and no decay each value is recalled exactly.
        let shape = DeltaShape { k_heads: 1, v_heads: 1, dim: 16, taps: 1, interleaved: false };
        let mut rng = Lcg(33);
        let (n, channels) = (16, shape.channels());
        let mut qkv = rng.floats((n + 1) * channels);
        let values: Vec<f32> = (0..n).flat_map(|r| qkv[r * channels + 32..][..16].to_vec()).collect();
        for (r, row) in qkv.chunks_exact_mut(channels).enumerate() {
            row[..32].fill(0.0);
            // The last row asks for the sixth, and writes nothing.
            row[if r == n { 5 } else { r }] = 1.0;
            row[16 + r % 16] = 1.0;
        }
        let mut gates = [1.0; 34];
        gates[2 * n + 1] = 0.0;
        let mut state = RunningState::new(shape.state()).unwrap();
        let mut out = vec![f32::NAN; (n + 1) * 16];
        let team = Team::new(1, CpuIsa::best()).unwrap();
        let mut run = |gates: &[f32], out: &mut [f32]| {
            let mut parts = [StateRows { state: &mut state, rows: n + 1 }];
            team.step(|crew| delta_rule(crew, &shape, &mut parts, &qkv, gates, out)).unwrap();
        };
        run(&gates, &mut out);
        assert_eq!(out[..n * 16], values);
        assert_eq!(out[n * 16..], values[5 * 16..6 * 16]);
        // All is forgotten, and nothing learnt.
        run(&[0.0; 34], &mut out);
        assert!(out.iter().all(|v| *v == 0.0));
    }
}
