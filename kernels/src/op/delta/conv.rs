//! The convolution before the delta rule: every channel by itself over its last positions, then SiLU; queries and keys are
//! made unit vectors, head by head.

use super::{DeltaRows, DeltaShape, DeltaState, LANES, MAX_TAPS};
use crate::isa::{CpuIsa, Isa, Kernel, load_tail, store_tail};
use crate::op::activation::silu;
use crate::team::Crew;

/// The weights of a convolution.
#[derive(Clone, Copy, Debug)]
pub struct Convolution<'a> {
    /// `[taps, channels]`, the oldest position first.
    pub weights: &'a [f32],
    /// What a vector's length counts at the least.
    pub eps: f32,
}

/// One row's convolution of consecutive heads.
struct Heads<'a> {
    shape: DeltaShape,
    conv: Convolution<'a>,
    /// The rows that it sees, `[channels]` each, the oldest first; as many as there are taps.
    seen: [&'a [f32]; MAX_TAPS],
    /// The first channel, which a head begins with.
    first: usize,
    /// `[heads, dim]`
    out: &'a mut [f32],
}

impl Kernel for Heads<'_> {
    type Out = ();

    #[inline(always)]
    fn call<S: Isa>(self, s: S) {
        let DeltaShape { k_heads, dim, taps, .. } = self.shape;
        let channels = self.shape.channels();
        for (i, head) in self.out.chunks_exact_mut(dim).enumerate() {
            let first = self.first + i * dim;
            let mut square = s.f_splat(0.0);
            for (j, out) in head.chunks_mut(LANES).enumerate() {
                let range = first + j * LANES..first + j * LANES + out.len();
                let mut sum = s.f_splat(0.0);
                for tap in 0..taps {
                    let w = load_tail(s, &self.conv.weights[tap * channels..][range.clone()]);
                    sum = s.f_fma(w, load_tail(s, &self.seen[tap][range.clone()]), sum);
                }
                let v = silu(s, sum);
                square = s.f_fma(v, v, square);
                store_tail(s, out, v);
            }
            // Queries are divided by the root of their width besides.
            let unit = match first / dim {
                h if h < k_heads => 1.0 / (dim as f32).sqrt(),
                h if h < 2 * k_heads => 1.0,
                _ => continue,
            };
            let length = s.f_sum(square).sqrt();
            // In this order a NaN comes through.
            let factor = s.f_splat(unit / if length < self.conv.eps { self.conv.eps } else { length });
            for out in head.chunks_mut(LANES) {
                let v = s.f_mul(load_tail(s, out), factor);
                store_tail(s, out, v);
            }
        }
    }
}

/// A unit of work: some heads of one row.
struct Unit<'a, 's> {
    state: &'s DeltaState,
    /// The row within its sequence's part, and the first row of that.
    row: usize,
    part: usize,
    first: usize,
    out: &'a mut [f32],
}

/// Convolves the rows of all `parts` (`raw`, `[rows, channels]`) into `out` of the same shape, and keeps of each part what
/// its next rows will need. Per channel, `sum = fma(weight, x, sum)` from the oldest position on.
///
/// # Panics
/// When the lengths do not fit the shape.
pub fn convolve(
    crew: &Crew<'_>,
    shape: &DeltaShape,
    conv: &Convolution<'_>,
    parts: &mut [DeltaRows<'_>],
    raw: &[f32],
    out: &mut [f32],
) {
    let (channels, heads) = (shape.channels(), 2 * shape.k_heads + shape.v_heads);
    let rows: usize = parts.iter().map(|p| p.rows).sum();
    assert!((1..=MAX_TAPS).contains(&shape.taps) && conv.weights.len() == shape.taps * channels, "[taps, channels]");
    assert!(raw.len() == rows * channels && out.len() == rows * channels, "[rows, channels]");
    // A few rows are cut, so that each thread has something to do.
    let cut = if rows < crew.threads() * 4 { heads.div_ceil(crew.threads() * 2) } else { heads };
    let mut units = Vec::with_capacity(rows * heads.div_ceil(cut));
    let (mut rest, mut part) = (&mut *out, 0);
    for p in &*parts {
        assert_eq!(p.state.shape, *shape);
        for row in 0..p.rows {
            let own;
            (own, rest) = rest.split_at_mut(channels);
            let heads = own.chunks_mut(cut * shape.dim).enumerate();
            units.extend(heads.map(|(i, out)| Unit { state: p.state, row, part, first: i * cut * shape.dim, out }));
        }
        part += p.rows;
    }
    let isa = crew.isa();
    crew.rows(&mut units, 1, true, |_, _, units| units.iter_mut().for_each(|u| run(isa, shape, conv, raw, u)));
    let mut from = 0;
    for p in parts {
        keep(p, &raw[from * channels..][..p.rows * channels]);
        from += p.rows;
    }
}

fn run(isa: CpuIsa, shape: &DeltaShape, conv: &Convolution<'_>, raw: &[f32], u: &mut Unit<'_, '_>) {
    let (channels, tail) = (shape.channels(), shape.taps - 1);
    let mut seen: [&[f32]; MAX_TAPS] = [&[]; MAX_TAPS];
    for (tap, seen) in seen[..shape.taps].iter_mut().enumerate() {
        *seen = match (u.row + tap).checked_sub(tail) {
            Some(row) => &raw[(u.part + row) * channels..][..channels],
            // Before the sequence's first row there are zeros, as there are in a slot that was never filled.
            None => u.state.slot((u.state.rows + u.row + tap) % tail),
        };
    }
    isa.run_lanes(Heads { shape: *shape, conv: *conv, seen, first: u.first, out: u.out });
}

/// Keeps the last rows.
fn keep(p: &mut DeltaRows<'_>, raw: &[f32]) {
    let (channels, slots) = (p.state.shape.channels(), p.state.shape.taps - 1);
    let before = p.state.rows;
    p.state.rows += p.rows;
    let (tail, _) = p.state.parts();
    for row in p.rows.saturating_sub(slots)..p.rows {
        let slot = (before + row) % slots;
        tail[slot * channels..][..channels].copy_from_slice(&raw[row * channels..][..channels]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;
    use crate::team::Team;
    use crate::testing::Lcg;

    #[test]
    fn equals_the_reference_on_every_isa_however_rows_are_cut() {
        let mut rng = Lcg(31);
        let shapes = [(1, 1, 1, 1), (1, 2, 16, 4), (2, 4, 20, 4), (3, 3, 33, 2), (2, 2, 128, 8)];
        for (k_heads, v_heads, dim, taps) in shapes {
            let shape = DeltaShape { k_heads, v_heads, dim, taps, interleaved: true };
            let (n, channels) = (13, shape.channels());
            let (weights, raw) = (rng.floats(taps * channels), rng.floats(n * channels));
            let conv = Convolution { weights: &weights, eps: 1e-6 };
            let want: Vec<f32> = (0..n).flat_map(|r| reference::convolve(&shape, &conv, &raw, r)).collect();
            for isa in CpuIsa::available() {
                for (threads, steps) in [(1, vec![n]), (3, vec![1; n]), (2, vec![0, 2, 1, 7, 3])] {
                    let team = Team::new(threads, isa).unwrap();
                    // A second sequence, in the same steps, is none of the first one's business.
                    let mut states = [DeltaState::new(shape).unwrap(), DeltaState::new(shape).unwrap()];
                    let mut at = 0;
                    for step in steps {
                        let own = &raw[at * channels..(at + step) * channels];
                        let both = [own, own].concat();
                        let mut out = vec![f32::NAN; 2 * step * channels];
                        let mut parts = states.each_mut().map(|state| DeltaRows { state, rows: step });
                        team.step(|crew| convolve(crew, &shape, &conv, &mut parts, &both, &mut out)).unwrap();
                        let want = &want[at * channels..(at + step) * channels];
                        for out in [&out[..step * channels], &out[step * channels..]] {
                            let bits = |v: &[f32]| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
                            assert_eq!(bits(out), bits(want), "{shape:?} {} rows {at}..+{step}", isa.kind());
                        }
                        at += step;
                    }
                }
            }
        }
    }

    #[test]
    fn a_nan_stays_one_and_zeros_stay_zeros() {
        let shape = DeltaShape { k_heads: 1, v_heads: 1, dim: 16, taps: 2, interleaved: true };
        let conv = Convolution { weights: &[1.0; 2 * 48], eps: 1e-6 };
        for isa in CpuIsa::available() {
            let mut state = DeltaState::new(shape).unwrap();
            let (mut raw, mut out) = ([0.0; 48], [f32::NAN; 48]);
            let team = Team::new(1, isa).unwrap();
            let mut run = |raw: &[f32], out: &mut [f32]| {
                let mut parts = [DeltaRows { state: &mut state, rows: 1 }];
                team.step(|crew| convolve(crew, &shape, &conv, &mut parts, raw, out)).unwrap();
            };
            run(&raw, &mut out);
            assert_eq!(out, [0.0; 48]);
            raw[3] = f32::NAN;
            run(&raw, &mut out);
            assert!(out[..16].iter().all(|v| v.is_nan()) && out[16..] == [0.0; 32]);
        }
    }
}
