//! Hyper-connections (arXiv 2409.19606): the residual stream as several. A part of a layer reads a mixture of them, and what
//! it gives is added to all, which are mixed among each other. The shares are the caller's.
//!
//! ```text
//! read:   x   = sum over i of share[i] s_i
//! write:  s_j = share[j] t + sum over i of mix[i][j] s_i        all s_j at once
//! ```
//!
//! A row's streams lie behind each other, `[STREAMS, dim]`. Lanes run over channels, sums over streams are one FMA chain.

use crate::isa::{CpuIsa, Isa, Kernel, each, load_tail, store_tail};

/// Streams that a row has.
pub const STREAMS: usize = 4;

struct Read<'a> {
    streams: &'a [f32],
    share: &'a [f32; STREAMS],
    x: &'a mut [f32],
}

impl Kernel for Read<'_> {
    type Out = ();
    #[inline(always)]
    fn call<S: Isa>(self, s: S) {
        let dim = self.x.len();
        for at in (0..dim).step_by(16) {
            let width = 16.min(dim - at);
            let mut sum = s.f_splat(0.0);
            each!(STREAMS, i => {
                let stream = load_tail(s, &self.streams[i * dim + at..][..width]);
                sum = s.f_fma(s.f_splat(self.share[i]), stream, sum);
            });
            store_tail(s, &mut self.x[at..][..width], sum);
        }
    }
}

/// `x` (`[dim]`) = the row's streams (`[STREAMS, dim]`), each times its share.
///
/// # Panics
/// When lengths do not fit together.
pub fn read(isa: CpuIsa, streams: &[f32], share: &[f32; STREAMS], x: &mut [f32]) {
    assert_eq!(streams.len(), STREAMS * x.len());
    isa.run_lanes(Read { streams, share, x });
}

struct Write<'a> {
    streams: &'a mut [f32],
    share: &'a [f32; STREAMS],
    mix: &'a [f32; STREAMS * STREAMS],
    t: &'a [f32],
}

impl Kernel for Write<'_> {
    type Out = ();
    #[inline(always)]
    fn call<S: Isa>(self, s: S) {
        let dim = self.t.len();
        for at in (0..dim).step_by(16) {
            let width = 16.min(dim - at);
            let mut old = [s.f_splat(0.0); STREAMS];
            each!(STREAMS, i => { old[i] = load_tail(s, &self.streams[i * dim + at..][..width]); });
            let t = load_tail(s, &self.t[at..][..width]);
            each!(STREAMS, j => {
                let mut new = s.f_mul(s.f_splat(self.share[j]), t);
                each!(STREAMS, i => { new = s.f_fma(s.f_splat(self.mix[i * STREAMS + j]), old[i], new); });
                store_tail(s, &mut self.streams[j * dim + at..][..width], new);
            });
        }
    }
}

/// Each of the row's streams (`[STREAMS, dim]`) = its share of `t` (`[dim]`) and what `mix` (`[from, to]`) has of all of them.
///
/// # Panics
/// When lengths do not fit together.
pub fn write(isa: CpuIsa, streams: &mut [f32], share: &[f32; STREAMS], mix: &[f32; STREAMS * STREAMS], t: &[f32]) {
    assert_eq!(streams.len(), STREAMS * t.len());
    isa.run_lanes(Write { streams, share, mix, t });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Lcg;

    #[test]
    fn streams_are_those_of_the_formula_on_every_isa() {
        let mut rng = Lcg(73);
        for dim in [1, 2, 15, 16, 17, 31, 64, 257, 1536] {
            let (before, t) = (rng.floats(STREAMS * dim), rng.floats(dim));
            let share: [f32; STREAMS] = rng.floats(STREAMS).try_into().unwrap();
            let mix: [f32; STREAMS * STREAMS] = rng.floats(STREAMS * STREAMS).try_into().unwrap();
            let old = |i: usize, c: usize| before[i * dim + c];
            let chain = |first: f32, share: &dyn Fn(usize) -> f32, c: usize| {
                (0..STREAMS).fold(first, |sum, i| share(i).mul_add(old(i, c), sum))
            };
            for isa in CpuIsa::available() {
                let mut x = vec![f32::NAN; dim];
                read(isa, &before, &share, &mut x);
                let mut streams = before.clone();
                write(isa, &mut streams, &share, &mix, &t);
                for c in 0..dim {
                    let want = chain(0.0, &|i| share[i], c);
                    assert_eq!(x[c].to_bits(), want.to_bits(), "{dim} {}", isa.kind());
                    for j in 0..STREAMS {
                        let want = chain(share[j] * t[c], &|i| mix[i * STREAMS + j], c);
                        assert_eq!(streams[j * dim + c].to_bits(), want.to_bits(), "{dim} {}", isa.kind());
                    }
                }
            }
        }
    }
}
