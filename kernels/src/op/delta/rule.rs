//! The gated delta rule.
//!
//! A head's matrix is worked on in groups of 16 value channels, which have nothing to do with each other: 128 keys times 16
//! channels stay in the nearest cache while all rows of a step go by. One pass over them updates them for one row, answers
//! the row's query and the next row's key.

use super::DeltaShape;
use crate::isa::{CpuIsa, Isa, Kernel, each, load_tail};
use crate::state::{LANES, StateRows};
use crate::team::Crew;

/// Groups that a thread takes at a time: of few rows half a head of 128 channels, else all of it.
const UNIT: [usize; 2] = [4, 8];
/// Rows that are worked on by all groups of a unit before the next ones.
const BLOCK: usize = 64;

/// How many rows ahead queries, keys and values are asked for: a row of the same head is on another page.
const AHEAD: usize = 3;

/// A unit of work: a few groups of a head, all rows of one sequence.
struct Unit<'a> {
    /// `[groups, dim, 16]`
    matrices: &'a mut [[f32; LANES]],
    /// `[groups, rows, 16]`
    out: &'a mut [[f32; LANES]],
    head: usize,
    /// The first group within the head.
    group: usize,
    /// The first row of the sequence within the step.
    row: usize,
    rows: usize,
}

/// What all units read.
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
    fn head(&self, row: usize, head: usize) -> &'a [f32] {
        &self.qkv[row * self.shape.channels() + head * self.shape.dim..][..self.shape.dim]
    }
}

/// One or two groups of a head.
struct Rule<'a> {
    step: Step<'a>,
    matrices: &'a mut [[f32; LANES]],
    out: [&'a mut [[f32; LANES]]; 2],
    head: usize,
    group: usize,
    row: usize,
}

impl Kernel for Rule<'_> {
    type Out = ();

    #[inline(always)]
    fn call<S: Isa>(self, s: S) {
        let Self { step, matrices, out, head, group, row } = self;
        let dim = step.shape.dim;
        let ((m0, m1), [o0, o1]) = (matrices.split_at_mut(dim), out);
        // Where there are registers for two, each key and query is loaded for both.
        if S::MANY && !m1.is_empty() {
            return groups(s, step, [m0, m1], [o0, o1], [head, group, row]);
        }
        groups(s, step, [m0], [o0], [head, group, row]);
        if !m1.is_empty() {
            groups(s, step, [m1], [o1], [head, group + 1, row]);
        }
    }
}

/// Adds `a * b` to the chain of parity `i`.
macro_rules! chain {
    ($s:ident, $sum:expr, $i:literal, $a:expr, $b:expr) => {
        $sum[$i] = $s.f_fma($a, $b, $sum[$i])
    };
}

/// `G` groups side by side, from group `group` of head `head` on; the sequence's rows begin at `row`.
#[inline(always)]
fn groups<S: Isa, const G: usize>(
    s: S,
    step: Step<'_>,
    matrices: [&mut [[f32; LANES]]; G],
    out: [&mut [[f32; LANES]]; G],
    [head, group, first]: [usize; 3],
) {
    let DeltaShape { k_heads, v_heads, dim, .. } = step.shape;
    let (key, rows) = (step.shape.key_head(head), out[0].len());
    let zero = [[s.f_splat(0.0); 2]; G];
    // What the matrix answers to the first key.
    let mut answer = zero;
    let k = step.head(first, k_heads + key);
    for i in (0..dim).step_by(2) {
        each!(G, g => { chain!(s, answer[g], 0, s.f_splat(k[i]), s.f_load(&matrices[g][i])) });
        if i + 1 < dim {
            each!(G, g => { chain!(s, answer[g], 1, s.f_splat(k[i + 1]), s.f_load(&matrices[g][i + 1])) });
        }
    }
    for r in 0..rows {
        let row = first + r;
        let gates = &step.gates[row * 2 * v_heads..][..2 * v_heads];
        let (decay, beta) = (gates[head], gates[v_heads + head]);
        let (q, k) = (step.head(row, key), step.head(row, k_heads + key));
        // After the last row the same once more, for nothing.
        let next = step.head(if r + 1 < rows { row + 1 } else { row }, k_heads + key);
        let v = step.head(row, 2 * k_heads + head);
        if r + AHEAD < rows {
            let later = row + AHEAD;
            let v = &step.head(later, 2 * k_heads + head)[group * LANES..];
            for part in [step.head(later, key), step.head(later, k_heads + key), &v[..v.len().min(G * LANES)]] {
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
    let groups = shape.groups();
    let mut units = Vec::with_capacity(parts.len() * shape.v_heads * groups.div_ceil(UNIT[0]));
    let (mut rest, mut row) = (out.as_chunks_mut().0, 0);
    for p in parts.iter_mut().filter(|p| p.rows > 0) {
        assert_eq!(*p.state.shape(), shape.state());
        let (own, later) = rest.split_at_mut(p.rows * shape.v_heads * groups);
        let heads = p.state.matrices().chunks_mut(groups * shape.dim).zip(own.chunks_mut(groups * p.rows));
        for (head, (matrices, out)) in heads.enumerate() {
            let most = UNIT[usize::from(p.rows >= BLOCK)];
            let cut = matrices.chunks_mut(most * shape.dim).zip(out.chunks_mut(most * p.rows));
            let unit = |(i, (matrices, out))| Unit { matrices, out, head, group: i * most, row, rows: p.rows };
            units.extend(cut.enumerate().map(unit));
        }
        (rest, row) = (later, row + p.rows);
    }
    let (isa, step) = (crew.isa(), Step { shape: *shape, qkv, gates });
    crew.rows(&mut units, 1, true, |_, _, units| units.iter_mut().for_each(|u| run(isa, step, u)));
}

/// Two groups at a time; of many rows, some after the other: their queries, keys and values are then still near for the
/// next two groups.
fn run(isa: CpuIsa, step: Step<'_>, u: &mut Unit<'_>) {
    let (dim, head) = (step.shape.dim, u.head);
    for from in (0..u.rows).step_by(BLOCK) {
        let rows = from..u.rows.min(from + BLOCK);
        let pairs = u.matrices.chunks_mut(2 * dim).zip(u.out.chunks_mut(2 * u.rows));
        for (i, (matrices, out)) in pairs.enumerate() {
            let (o0, o1) = out.split_at_mut(u.rows);
            let out = [&mut o0[rows.clone()], if o1.is_empty() { o1 } else { &mut o1[rows.clone()] }];
            isa.run_lanes(Rule { step, matrices, out, head, group: u.group + 2 * i, row: u.row + from });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
