//! AltUp (arXiv 2301.13310): the residual stream as several, of which a layer computes on the first and guesses the others.
//!
//! ```text
//! predict:  m = tanh(Router norm(s_0) / dim)     s_j += sum over i of (Predict m)[j, i] s_i       all s_j at once
//! correct:  m = tanh(Router norm(x) / dim)       s_j += (1 + (Correct m)[j]) (x - s_0)            x: what the layer made
//! ```
//!
//! A row's streams lie behind each other, `[STREAMS, dim]`. Sums over channels run over sixteen virtual lanes, those over
//! streams are one chain with the lanes over channels, or over the outputs of the small matrices; these lie with their
//! columns first for that.

use crate::isa::{CpuIsa, Isa, Kernel, each, load_tail, store_tail};

/// Streams that a row has.
pub const STREAMS: usize = 4;

/// What the weights of a mixture are made of: how much a row has of each of as many properties as there are streams.
#[derive(Clone, Copy, Debug)]
pub struct Router<'a> {
    /// Weights of the norm before, `[dim]`.
    pub norm: &'a [f32],
    /// Its epsilon.
    pub eps: f32,
    /// `[STREAMS, dim]`
    pub w: &'a [f32],
}

impl Router<'_> {
    /// `tanh(w norm(x) / dim)`; zeros behind.
    #[inline(always)]
    fn ask<S: Isa>(&self, s: S, x: &[f32]) -> [f32; 16] {
        let dim = x.len();
        let mut sum = s.f_splat(0.0);
        for x in x.chunks(16) {
            let v = load_tail(s, x);
            sum = s.f_fma(v, v, sum);
        }
        let r = s.f_splat(1.0 / (s.f_sum(sum) / dim as f32 + self.eps).sqrt());
        let share = s.f_splat(1.0 / dim as f32);
        let mut sums = [s.f_splat(0.0); STREAMS];
        for (i, (x, norm)) in x.chunks(16).zip(self.norm.chunks(16)).enumerate() {
            let v = s.f_mul(s.f_mul(load_tail(s, x), r), load_tail(s, norm));
            let v = s.f_mul(v, share);
            each!(STREAMS, j => {
                let w = &self.w[j * dim + i * 16..][..x.len()];
                sums[j] = s.f_fma(load_tail(s, w), v, sums[j]);
            });
        }
        // Of few numbers, which count in all channels of every layer: better than the polynomial's.
        let mut all = [0.0; 16];
        each!(STREAMS, j => { all[j] = libm::tanhf(s.f_sum(sums[j])); });
        all
    }

    fn check(&self, dim: usize) {
        assert!(self.norm.len() == dim && self.w.len() == STREAMS * dim, "the router is as wide as a stream");
    }
}

/// `matrix m`, up to 16 outputs: `matrix` is `[STREAMS, outputs]`.
#[inline(always)]
fn outputs<S: Isa>(s: S, matrix: &[f32], m: &[f32; 16]) -> S::F {
    let mut sum = s.f_splat(0.0);
    for (column, m) in matrix.chunks(matrix.len() / STREAMS).zip(m) {
        sum = s.f_fma(load_tail(s, column), s.f_splat(*m), sum);
    }
    sum
}

struct Predict<'a> {
    router: &'a Router<'a>,
    matrix: &'a [f32; STREAMS * STREAMS * STREAMS],
    streams: &'a mut [f32],
    x: &'a mut [f32],
}

impl Kernel for Predict<'_> {
    type Out = ();
    #[inline(always)]
    fn call<S: Isa>(self, s: S) {
        let dim = self.x.len();
        let m = self.router.ask(s, &self.streams[..dim]);
        let mut share = [0.0; 16];
        s.f_store(&mut share, outputs(s, self.matrix, &m));
        for at in (0..dim).step_by(16) {
            let width = 16.min(dim - at);
            let mut old = [s.f_splat(0.0); STREAMS];
            each!(STREAMS, i => { old[i] = load_tail(s, &self.streams[i * dim + at..][..width]); });
            each!(STREAMS, j => {
                let mut new = old[j];
                each!(STREAMS, i => { new = s.f_fma(s.f_splat(share[j * STREAMS + i]), old[i], new); });
                store_tail(s, &mut self.streams[j * dim + at..][..width], new);
            });
        }
        self.x.copy_from_slice(&self.streams[..dim]);
    }
}

/// Guesses what a row's streams (`[STREAMS, dim]`) will be after a layer; `x` (`[dim]`), which the layer computes on, is the
/// first of them. `matrix` is `[STREAMS, STREAMS * STREAMS]`: how the shares of the streams in each stream follow from the
/// row's properties.
///
/// # Panics
/// When lengths do not fit together.
pub fn predict(
    isa: CpuIsa,
    router: &Router<'_>,
    matrix: &[f32; STREAMS * STREAMS * STREAMS],
    streams: &mut [f32],
    x: &mut [f32],
) {
    router.check(x.len());
    assert_eq!(streams.len(), STREAMS * x.len());
    isa.run_lanes(Predict { router, matrix, streams, x });
}

struct Correct<'a> {
    router: &'a Router<'a>,
    matrix: &'a [f32; STREAMS * STREAMS],
    streams: &'a mut [f32],
    x: &'a mut [f32],
    scale: &'a [f32],
}

impl Kernel for Correct<'_> {
    type Out = ();
    #[inline(always)]
    fn call<S: Isa>(self, s: S) {
        let dim = self.x.len();
        let m = self.router.ask(s, self.x);
        let mut share = [0.0; 16];
        s.f_store(&mut share, s.f_add(outputs(s, self.matrix, &m), s.f_splat(1.0)));
        for at in (0..dim).step_by(16) {
            let width = 16.min(dim - at);
            let x = &mut self.x[at..][..width];
            let news = s.f_sub(load_tail(s, x), load_tail(s, &self.streams[at..][..width]));
            each!(STREAMS, j => {
                let stream = &mut self.streams[j * dim + at..][..width];
                let new = s.f_fma(s.f_splat(share[j]), news, load_tail(s, stream));
                store_tail(s, stream, new);
            });
            let first = load_tail(s, &self.streams[at..][..width]);
            store_tail(s, x, s.f_mul(first, load_tail(s, &self.scale[at..][..width])));
        }
    }
}

/// Corrects a row's guessed streams (`[STREAMS, dim]`) by what the layer made of the first, `x` (`[dim]`), which becomes the
/// corrected first one times `scale` (`[dim]`). `matrix` is `[STREAMS, STREAMS]`: how much of the news each stream takes
/// follows from the row's properties.
///
/// # Panics
/// When lengths do not fit together.
pub fn correct(
    isa: CpuIsa,
    router: &Router<'_>,
    matrix: &[f32; STREAMS * STREAMS],
    streams: &mut [f32],
    x: &mut [f32],
    scale: &[f32],
) {
    router.check(x.len());
    assert!(streams.len() == STREAMS * x.len() && scale.len() == x.len());
    isa.run_lanes(Correct { router, matrix, streams, x, scale });
}

struct MatchLength<'a> {
    x: &'a mut [f32],
    like: &'a [f32],
}

/// The root of the sum of squares.
#[inline(always)]
fn length<S: Isa>(s: S, x: &[f32]) -> f32 {
    let mut sum = s.f_splat(0.0);
    for x in x.chunks(16) {
        let v = load_tail(s, x);
        sum = s.f_fma(v, v, sum);
    }
    s.f_sum(sum).sqrt()
}

impl Kernel for MatchLength<'_> {
    type Out = ();
    #[inline(always)]
    fn call<S: Isa>(self, s: S) {
        let (want, have) = (length(s, self.like), length(s, self.x));
        // There are tokens whose embedding is all zeros. A NaN is not above 0, and remains one.
        let factor = s.f_splat(if have > 0.0 { want / have } else { 0.0 });
        for x in self.x.chunks_mut(16) {
            let v = s.f_mul(load_tail(s, x), factor);
            store_tail(s, x, v);
        }
    }
}

/// Makes `x` as long as `like` (their Euclidean norms); zeros stay zeros.
pub fn match_length(isa: CpuIsa, x: &mut [f32], like: &[f32]) {
    isa.run_lanes(MatchLength { x, like });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;
    use crate::testing::Lcg;

    fn bits(x: &[f32]) -> Vec<u32> {
        x.iter().map(|v| v.to_bits()).collect()
    }

    #[test]
    fn streams_are_those_of_the_reference_on_every_isa() {
        let mut rng = Lcg(17);
        for dim in [1, 2, 15, 16, 17, 31, 64, 257, 1536] {
            let (norm, w, scale) = (rng.floats(dim), rng.floats(STREAMS * dim), rng.floats(dim));
            // With these the properties spread over -1..1.
            let w: Vec<f32> = w.iter().map(|w| w * (dim as f32).sqrt() * 3.0).collect();
            let router = Router { norm: &norm, eps: 1e-5, w: &w };
            let (guess, take) = (rng.floats(64).try_into().unwrap(), rng.floats(16).try_into().unwrap());
            let (before, made) = (rng.floats(STREAMS * dim), rng.floats(dim));
            let guessed = reference::predict(&router, &guess, &before);
            let [corrected, scaled] = reference::correct(&router, &take, &guessed, &made, &scale);
            for isa in CpuIsa::available() {
                let (mut streams, mut x) = (before.clone(), vec![f32::NAN; dim]);
                predict(isa, &router, &guess, &mut streams, &mut x);
                assert_eq!(bits(&streams), bits(&guessed), "{dim} {}", isa.kind());
                assert_eq!(bits(&x), bits(&guessed[..dim]), "{dim} {}", isa.kind());
                x.copy_from_slice(&made);
                correct(isa, &router, &take, &mut streams, &mut x, &scale);
                assert_eq!(bits(&streams), bits(&corrected), "{dim} {}", isa.kind());
                assert_eq!(bits(&x), bits(&scaled), "{dim} {}", isa.kind());
            }
            // The formula, in f64.
            let ask = |x: &[f32]| -> Vec<f64> {
                let square = x.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / dim as f64;
                let h = |i: usize| f64::from(x[i]) / (square + 1e-5).sqrt() * f64::from(norm[i]) / dim as f64;
                let dot = |j: usize| (0..dim).map(|i| f64::from(w[j * dim + i]) * h(i)).sum::<f64>();
                (0..STREAMS).map(|j| libm::tanh(dot(j))).collect()
            };
            let (m, asked) = (ask(&before[..dim]), ask(&made));
            for j in 0..STREAMS {
                for c in 0..dim {
                    let share =
                        |i| (0..STREAMS).map(|k| m[k] * f64::from(guess[k * 16 + j * STREAMS + i])).sum::<f64>();
                    let old = |i: usize| f64::from(before[i * dim + c]);
                    let want = old(j) + (0..STREAMS).map(|i| share(i) * old(i)).sum::<f64>();
                    assert!((f64::from(guessed[j * dim + c]) - want).abs() < 1e-4);
                    let part = |(k, m): (usize, &f64)| m * f64::from(take[k * STREAMS + j]);
                    let share = 1.0 + asked.iter().enumerate().map(part).sum::<f64>();
                    let news = f64::from(made[c]) - f64::from(guessed[c]);
                    let want = f64::from(guessed[j * dim + c]) + share * news;
                    assert!((f64::from(corrected[j * dim + c]) - want).abs() < 1e-4);
                }
            }
        }
    }

    #[test]
    fn lengths_are_matched_and_equal_on_every_isa() {
        let mut rng = Lcg(19);
        for n in [1, 15, 16, 17, 257, 1536] {
            let (x, like) = (rng.floats(n), rng.floats(n));
            let want = reference::match_length(&x, &like);
            let of = |x: &[f32]| x.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
            assert!((of(&want) / of(&like) - 1.0).abs() < 1e-6);
            for isa in CpuIsa::available() {
                let mut y = x.clone();
                match_length(isa, &mut y, &like);
                assert_eq!(bits(&y), bits(&want), "{n} {}", isa.kind());
                let mut zeros = vec![0.0; n];
                match_length(isa, &mut zeros, &like);
                assert_eq!(zeros, vec![0.0; n]);
                let mut bad = x.clone();
                bad[n - 1] = f32::NAN;
                match_length(isa, &mut bad, &like);
                assert!(bad[n - 1].is_nan());
            }
        }
    }
}
