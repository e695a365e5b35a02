//! A causal convolution: every channel by itself over its last positions.

use crate::isa::{CpuIsa, Isa, Kernel, load_tail, store_tail};
use crate::op::activation::silu;
use crate::state::{LANES, MAX_TAPS, StateRows};
use crate::team::Crew;

/// The weights of a convolution, and what is done with what it gives.
#[derive(Clone, Copy, Debug)]
pub struct Convolution<'a> {
    /// Positions that it sees, 1 to [`MAX_TAPS`].
    pub taps: usize,
    /// `[taps, channels]`, the oldest position first.
    pub weights: &'a [f32],
    /// `[channels]`
    pub bias: Option<&'a [f32]>,
    /// What follows.
    pub then: Then<'a>,
}

/// What is done with the sums.
#[derive(Clone, Copy, Debug)]
pub enum Then<'a> {
    /// They go through SiLU.
    Silu,
    /// The same, and heads of `dim` channels are made unit vectors: the first `queries` (which are divided by the root of
    /// their width besides), then as many keys. Other heads are left alone. A length counts as `eps` at the least.
    SiluUnits {
        /// Channels of a head.
        dim: usize,
        /// How many.
        queries: usize,
        /// The least length.
        eps: f32,
    },
    /// They are multiplied with these, `[rows, channels]`.
    Times(&'a [f32]),
}

impl Convolution<'_> {
    /// Channels.
    pub fn channels(&self) -> usize {
        self.weights.len() / self.taps
    }

    /// Channels that can be worked on by themselves begin at multiples of so many.
    fn unit(&self) -> usize {
        match self.then {
            Then::SiluUnits { dim, .. } => dim,
            Then::Silu | Then::Times(_) => 4 * LANES,
        }
    }
}

/// One row's convolution of consecutive channels.
struct Channels<'a> {
    conv: Convolution<'a>,
    /// The rows that it sees, `[channels]` each, the oldest first; as many as there are taps.
    seen: [&'a [f32]; MAX_TAPS],
    row: usize,
    /// The first channel, which a unit begins with.
    first: usize,
    out: &'a mut [f32],
}

impl Kernel for Channels<'_> {
    type Out = ();

    #[inline(always)]
    fn call<S: Isa>(self, s: S) {
        let Self { conv, seen, row, first, out } = self;
        let channels = conv.channels();
        for (i, unit) in out.chunks_mut(conv.unit()).enumerate() {
            let first = first + i * conv.unit();
            let mut square = s.f_splat(0.0);
            for (j, out) in unit.chunks_mut(LANES).enumerate() {
                let range = first + j * LANES..first + j * LANES + out.len();
                let mut sum = match conv.bias {
                    Some(bias) => load_tail(s, &bias[range.clone()]),
                    None => s.f_splat(0.0),
                };
                for tap in 0..conv.taps {
                    let w = load_tail(s, &conv.weights[tap * channels..][range.clone()]);
                    sum = s.f_fma(w, load_tail(s, &seen[tap][range.clone()]), sum);
                }
                let v = match conv.then {
                    Then::Silu => silu(s, sum),
                    Then::SiluUnits { .. } => {
                        let v = silu(s, sum);
                        square = s.f_fma(v, v, square);
                        v
                    }
                    Then::Times(by) => s.f_mul(sum, load_tail(s, &by[row * channels..][range])),
                };
                store_tail(s, out, v);
            }
            if let Then::SiluUnits { dim, queries, eps } = conv.then {
                let unit_length = match first / dim {
                    h if h < queries => 1.0 / (dim as f32).sqrt(),
                    h if h < 2 * queries => 1.0,
                    _ => continue,
                };
                let length = s.f_sum(square).sqrt();
                // In this order a NaN comes through.
                let factor = s.f_splat(unit_length / if length < eps { eps } else { length });
                for out in unit.chunks_mut(LANES) {
                    let v = s.f_mul(load_tail(s, out), factor);
                    store_tail(s, out, v);
                }
            }
        }
    }
}

/// A unit of work: some channels of one row.
struct Unit<'a, 's> {
    part: &'a StateRows<'s>,
    /// The row within its sequence's part, and the first row of that.
    row: usize,
    from: usize,
    first: usize,
    out: &'a mut [f32],
}

/// Convolves the rows of all `parts` (`raw`, `[rows, channels]`) into `out` of the same shape, and keeps of each part what
/// its next rows will need. Per channel, `sum = fma(weight, x, sum)` from the bias and the oldest position on.
///
/// # Panics
/// When the lengths do not fit.
pub fn convolve(crew: &Crew<'_>, conv: &Convolution<'_>, parts: &mut [StateRows<'_>], raw: &[f32], out: &mut [f32]) {
    let channels = conv.channels();
    let rows: usize = parts.iter().map(|p| p.rows).sum();
    assert!((1..=MAX_TAPS).contains(&conv.taps) && conv.weights.len() == conv.taps * channels, "[taps, channels]");
    assert!(conv.bias.is_none_or(|bias| bias.len() == channels), "[channels]");
    assert!(raw.len() == rows * channels && out.len() == rows * channels, "[rows, channels]");
    assert!(!matches!(conv.then, Then::Times(by) if by.len() != rows * channels), "[rows, channels]");
    // A few rows are cut, so that each thread has something to do.
    let all = channels.div_ceil(conv.unit());
    let cut = if rows < crew.threads() * 4 { all.div_ceil(crew.threads() * 2) } else { all } * conv.unit();
    let mut units = Vec::with_capacity(rows * channels.div_ceil(cut.max(1)));
    let (mut rest, mut from) = (&mut *out, 0);
    for part in &*parts {
        assert_eq!((part.state.shape().taps, part.state.shape().channels), (conv.taps, channels));
        for row in 0..part.rows {
            let own;
            (own, rest) = rest.split_at_mut(channels);
            units.extend(own.chunks_mut(cut).enumerate().map(|(i, out)| Unit { part, row, from, first: i * cut, out }));
        }
        from += part.rows;
    }
    let isa = crew.isa();
    crew.rows(&mut units, 1, true, |_, _, units| units.iter_mut().for_each(|u| run(isa, conv, raw, u)));
    let mut from = 0;
    for p in parts {
        p.state.push(&raw[from * channels..][..p.rows * channels]);
        from += p.rows;
    }
}

fn run(isa: CpuIsa, conv: &Convolution<'_>, raw: &[f32], u: &mut Unit<'_, '_>) {
    let (channels, tail) = (conv.channels(), conv.taps - 1);
    let mut seen: [&[f32]; MAX_TAPS] = [&[]; MAX_TAPS];
    for (tap, seen) in seen[..conv.taps].iter_mut().enumerate() {
        *seen = match (u.row + tap).checked_sub(tail) {
            Some(row) => &raw[(u.from + row) * channels..][..channels],
            None => u.part.state.before(tail - u.row - tap),
        };
    }
    isa.run_lanes(Channels { conv: *conv, seen, row: u.from + u.row, first: u.first, out: u.out });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;
    use crate::state::{RunningState, StateShape};
    use crate::team::Team;
    use crate::testing::Lcg;

    fn state(taps: usize, channels: usize) -> RunningState {
        RunningState::new(StateShape { taps, channels, matrices: 0 }).unwrap()
    }

    #[test]
    fn equals_the_reference_on_every_isa_however_rows_are_cut() {
        let mut rng = Lcg(31);
        let units = |dim, queries| Then::SiluUnits { dim, queries, eps: 1e-6 };
        let n = 13;
        let mut run = |channels: usize, taps: usize, biased: bool, then: Option<Then<'static>>| {
            let (weights, raw) = (rng.floats(taps * channels), rng.floats(n * channels));
            let (bias, by) = (rng.floats(channels), rng.floats(n * channels));
            let bias = biased.then_some(&bias[..]);
            let conv = Convolution { taps, weights: &weights, bias, then: then.unwrap_or(Then::Times(&by)) };
            let want: Vec<f32> = (0..n).flat_map(|r| reference::convolve(&conv, &raw, r)).collect();
            for isa in CpuIsa::available() {
                for (threads, steps) in [(1, vec![n]), (3, vec![1; n]), (2, vec![0, 2, 1, 7, 3])] {
                    let team = Team::new(threads, isa).unwrap();
                    // A second sequence, in the same steps, is none of the first one's business.
                    let mut states = [state(taps, channels), state(taps, channels)];
                    let mut at = 0;
                    for step in steps {
                        let own = at * channels..(at + step) * channels;
                        let [both, by] = [&raw, &by].map(|v| v[own.clone()].repeat(2));
                        let conv = Convolution { then: then.unwrap_or(Then::Times(&by)), ..conv };
                        let mut out = vec![f32::NAN; 2 * step * channels];
                        let mut parts = states.each_mut().map(|state| StateRows { state, rows: step });
                        team.step(|crew| convolve(crew, &conv, &mut parts, &both, &mut out)).unwrap();
                        for out in [&out[..step * channels], &out[step * channels..]] {
                            let bits = |v: &[f32]| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
                            assert_eq!(
                                bits(out),
                                bits(&want[own.clone()]),
                                "{then:?} {} rows {at}..+{step}",
                                isa.kind()
                            );
                        }
                        at += step;
                    }
                }
            }
        };
        for (k_heads, v_heads, dim, taps) in [(1, 1, 1, 1), (1, 2, 16, 4), (2, 4, 20, 4), (3, 3, 33, 2), (2, 2, 128, 8)]
        {
            run((2 * k_heads + v_heads) * dim, taps, false, Some(units(dim, k_heads)));
        }
        for (channels, taps) in [(1, 1), (16, 4), (63, 3), (64, 2), (200, 4), (1000, 8)] {
            run(channels, taps, channels % 2 == 0, Some(Then::Silu));
            run(channels, taps, channels % 2 == 1, None);
        }
    }

    #[test]
    fn a_nan_stays_one_and_zeros_stay_zeros() {
        let then = Then::SiluUnits { dim: 16, queries: 1, eps: 1e-6 };
        let conv = Convolution { taps: 2, weights: &[1.0; 2 * 48], bias: None, then };
        for isa in CpuIsa::available() {
            let mut state = state(2, 48);
            let (mut raw, mut out) = ([0.0; 48], [f32::NAN; 48]);
            let team = Team::new(1, isa).unwrap();
            let mut run = |raw: &[f32], out: &mut [f32]| {
                let mut parts = [StateRows { state: &mut state, rows: 1 }];
                team.step(|crew| convolve(crew, &conv, &mut parts, raw, out)).unwrap();
            };
            run(&raw, &mut out);
            assert_eq!(out, [0.0; 48]);
            raw[3] = f32::NAN;
            run(&raw, &mut out);
            assert!(out[..16].iter().all(|v| v.is_nan()) && out[16..] == [0.0; 32]);
        }
    }
}
