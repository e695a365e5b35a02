//! The delta rule where each channel of a key fades by a factor of its own (Kimi delta attention, arXiv 2510.26692):
//!
//! ```text
//! S <- D S + k (beta (v - (D S)^T k))^T        out = S^T q
//! ```
//!
//! with a diagonal `D` in the place of the gated delta rule's one factor a head. What `D S` answers to `k` is what `S` answers
//! to `D k`, so that here, too, one pass over a group of the matrix does it for a row.

use super::DeltaShape;
use crate::isa::{Isa, each, load_tail};
use crate::op::recurrence::{AHEAD, At, Rule, apply};
use crate::state::{LANES, StateRows};
use crate::team::Crew;

/// What decides how much of a matrix is left and how much it is corrected.
#[derive(Clone, Copy, Debug)]
pub struct ChannelGates<'a> {
    /// What is left of each channel of a key, `[rows, heads, dim]`.
    pub decays: &'a [f32],
    /// How much is corrected, `[rows, heads]`.
    pub betas: &'a [f32],
}

/// What all work reads.
#[derive(Clone, Copy)]
struct Step<'a> {
    shape: DeltaShape,
    /// `[rows, channels]`
    qkv: &'a [f32],
    gates: ChannelGates<'a>,
}

impl<'a> Step<'a> {
    /// Head `head` of row `row`, counted over queries, keys and values.
    #[inline(always)]
    fn of(&self, row: usize, head: usize) -> &'a [f32] {
        &self.qkv[row * self.shape.channels() + head * self.shape.dim..][..self.shape.dim]
    }

    /// What is left of the channels of a head's keys in row `row`.
    #[inline(always)]
    fn decays(&self, row: usize, head: usize) -> &'a [f32] {
        &self.gates.decays[(row * self.shape.v_heads + head) * self.shape.dim..][..self.shape.dim]
    }
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
        // What the matrix answers to the first key once it has faded.
        let mut answer = zero;
        let (k, d) = (self.of(first, k_heads + key), self.decays(first, head));
        macro_rules! first {
            ($i:expr, $parity:literal) => {
                let faded = s.f_mul(s.f_splat(d[$i]), s.f_splat(k[$i]));
                each!(G, g => { answer[g][$parity] = s.f_fma(faded, s.f_load(&matrices[g][$i]), answer[g][$parity]) });
            };
        }
        for i in (0..dim).step_by(2) {
            first!(i, 0);
            if i + 1 < dim {
                first!(i + 1, 1);
            }
        }
        for r in 0..rows {
            let row = first + r;
            let beta = self.gates.betas[row * v_heads + head];
            let (q, k, d) = (self.of(row, key), self.of(row, k_heads + key), self.decays(row, head));
            // After the last row the same once more, for nothing.
            let later = if r + 1 < rows { row + 1 } else { row };
            let (next, next_d) = (self.of(later, k_heads + key), self.decays(later, head));
            let v = self.of(row, 2 * k_heads + head);
            if r + AHEAD < rows {
                let later = row + AHEAD;
                let v = &self.of(later, 2 * k_heads + head)[group * LANES..];
                let v = &v[..v.len().min(G * LANES)];
                for part in [self.of(later, key), self.of(later, k_heads + key), self.decays(later, head), v] {
                    part.iter().step_by(LANES).for_each(|x| s.prefetch(std::ptr::from_ref(x).cast()));
                }
            }
            let mut change = [s.f_splat(0.0); G];
            each!(G, g => {
                let v = load_tail(s, &v[(group + g) * LANES..dim.min((group + g + 1) * LANES)]);
                let held = s.f_add(answer[g][0], answer[g][1]);
                change[g] = s.f_mul(s.f_splat(beta), s.f_sub(v, held));
            });
            let mut sum = zero;
            answer = zero;
            macro_rules! row {
                ($i:expr, $parity:literal) => {
                    let (k, q, decay) = (s.f_splat(k[$i]), s.f_splat(q[$i]), s.f_splat(d[$i]));
                    let faded = s.f_mul(s.f_splat(next_d[$i]), s.f_splat(next[$i]));
                    each!(G, g => {
                        let at = &mut matrices[g][$i];
                        let m = s.f_fma(k, change[g], s.f_mul(decay, s.f_load(at)));
                        s.f_store(at, m);
                        sum[g][$parity] = s.f_fma(q, m, sum[g][$parity]);
                        answer[g][$parity] = s.f_fma(faded, m, answer[g][$parity]);
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

/// Applies the rule to the rows of all `parts`, one after the other within each: `qkv` (`[rows, channels]`) as
/// [`convolve`](crate::op::convolution::convolve) leaves them. Each part's `out` (`[rows * padded_width]`) is for
/// [`DeltaShape::gather`].
///
/// Sums over keys are two chains of FMAs, of the even and of the odd keys, which are added.
///
/// # Panics
/// When the lengths do not fit the shape.
pub fn channel_delta_rule(
    crew: &Crew<'_>,
    shape: &DeltaShape,
    parts: &mut [StateRows<'_>],
    qkv: &[f32],
    gates: ChannelGates<'_>,
    out: &mut [f32],
) {
    let rows: usize = parts.iter().map(|p| p.rows).sum();
    assert_eq!((qkv.len(), gates.decays.len()), (rows * shape.channels(), rows * shape.width()));
    assert_eq!((gates.betas.len(), out.len()), (rows * shape.v_heads, rows * shape.padded_width()));
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
        let mut rng = Lcg(36);
        for (i, (k_heads, v_heads, dim)) in [(1, 1, 1), (1, 1, 16), (2, 4, 20), (3, 3, 50)].into_iter().enumerate() {
            let shape = DeltaShape { k_heads, v_heads, dim, taps: 2, interleaved: false };
            // The last one crosses the blocks of rows.
            let n = if i < 3 { 9 } else { 2 * BLOCK + 9 };
            let (channels, width) = (shape.channels(), shape.width());
            let qkv = rng.floats(n * channels);
            let mut gates = |n: usize| (0..n).map(|_| 0.5 + 0.5 * rng.float()).collect::<Vec<f32>>();
            let (decays, betas) = (gates(n * width), gates(n * v_heads));
            let want = reference::channel_delta_rule(&shape, &qkv, &decays, &betas);
            assert!(want.iter().all(|v| v.is_finite()) && want.iter().any(|v| v.abs() > 0.1));
            for isa in CpuIsa::available() {
                for (threads, steps) in [(1, vec![n]), (3, vec![1; n]), (2, vec![0, 2, 1, n - 3])] {
                    let team = Team::new(threads, isa).unwrap();
                    let mut states = [(); 2].map(|()| RunningState::new(shape.state()).unwrap());
                    let mut at = 0;
                    for step in steps {
                        let twice = |x: &[f32], width: usize| x[at * width..(at + step) * width].repeat(2);
                        let (x, d, b) = (twice(&qkv, channels), twice(&decays, width), twice(&betas, v_heads));
                        let half = step * shape.padded_width();
                        let mut out = vec![f32::NAN; 2 * half];
                        let mut parts = states.each_mut().map(|state| StateRows { state, rows: step });
                        let gates = ChannelGates { decays: &d, betas: &b };
                        team.step(|crew| channel_delta_rule(crew, &shape, &mut parts, &x, gates, &mut out)).unwrap();
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
