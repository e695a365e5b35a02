//! The matrices of RWKV's heads: each channel of a key fades by a factor of its own and of the row's.
//!
//! ```text
//! seventh (arXiv 2503.14456):  S <- D S + b (a^T S) + k v^T      out = S^T r
//! sixth   (arXiv 2404.05892):  out = (S + (u k) v^T)^T r         S <- D S + k v^T
//! gated linear attention:      S <- D S + k v^T                  out = S^T r
//! ```
//!
//! with keys by values, and a diagonal `D`. In the seventh, what the matrix as it was answers to `a` is written back at `b`.
//! Position by position, in this order whatever the step; sums over keys are two chains of FMAs, of the even and of the odd
//! keys, which are added.

use super::recurrence::{At, Matrices, Rule, apply};
use crate::isa::{Isa, each, load_tail};
use crate::state::{LANES, StateRows, StateShape};
use crate::team::Crew;

/// The sizes of such a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WkvShape {
    /// Heads.
    pub heads: usize,
    /// Channels of each: of keys, of values, and of what asks.
    pub dim: usize,
    /// Channels of the row before that are kept besides.
    pub kept: usize,
}

impl WkvShape {
    /// Channels of all heads.
    pub fn width(&self) -> usize {
        self.heads * self.dim
    }

    /// What is written for each row: `width` with every head rounded up to whole lanes.
    pub fn padded_width(&self) -> usize {
        self.matrices().padded_width()
    }

    /// Multiply-adds for one row.
    pub fn operations(&self) -> usize {
        5 * self.padded_width() * self.dim
    }

    /// What a layer keeps.
    pub fn state(&self) -> StateShape {
        self.matrices().state(2, self.kept)
    }

    /// The row `r` of `rows` that was written to `from` (`[rows * padded_width]`), to `to` (`[width]`).
    ///
    /// # Panics
    /// When the lengths are others.
    pub fn gather(&self, from: &[f32], rows: usize, r: usize, to: &mut [f32]) {
        self.matrices().gather(from, rows, r, to);
    }

    fn matrices(&self) -> Matrices {
        Matrices { heads: self.heads, k_dim: self.dim, v_dim: self.dim }
    }

    /// The channels of a head in a row of `all` (`[rows, width]`).
    #[inline(always)]
    fn of<'a>(&self, all: &'a [f32], row: usize, head: usize) -> &'a [f32] {
        &all[row * self.width() + head * self.dim..][..self.dim]
    }
}

/// What a layer's matrices are asked and told, `[rows, width]` each.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// What asks (the receptance, or a query).
    pub asks: &'a [f32],
    /// What is left of each channel of a key.
    pub decays: &'a [f32],
    /// Keys.
    pub keys: &'a [f32],
    /// Values.
    pub values: &'a [f32],
}

/// How the answer comes about.
#[derive(Clone, Copy, Debug)]
pub enum Answer<'a> {
    /// After the row's key and value were written, and what the matrix answered to the first of these (`[rows, width]`) before
    /// at the second.
    Corrected([&'a [f32]; 2]),
    /// Before they were, but as if they had been with these factors of keys (`[heads, dim]`), and nothing had faded.
    Before(&'a [f32]),
    /// After they were.
    After,
}

/// With corrections.
#[derive(Clone, Copy)]
struct Correct<'a> {
    shape: WkvShape,
    told: Told<'a>,
    at: [&'a [f32]; 2],
}

impl Rule for Correct<'_> {
    #[inline(always)]
    fn groups<S: Isa, const G: usize>(
        self,
        s: S,
        matrices: [&mut [[f32; LANES]]; G],
        out: [&mut [[f32; LANES]]; G],
        At { head, group, row: first }: At,
    ) {
        let (shape, dim, rows) = (self.shape, self.shape.dim, out[0].len());
        let zero = [[s.f_splat(0.0); 2]; G];
        // What the matrix answers to the first row's question.
        let (mut held, a) = (zero, shape.of(self.at[0], first, head));
        macro_rules! first {
            ($i:expr, $parity:literal) => {
                let a = s.f_splat(a[$i]);
                each!(G, g => { held[g][$parity] = s.f_fma(a, s.f_load(&matrices[g][$i]), held[g][$parity]) });
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
            let asks = shape.of(self.told.asks, row, head);
            let (d, k) = (shape.of(self.told.decays, row, head), shape.of(self.told.keys, row, head));
            let (b, v) = (shape.of(self.at[1], row, head), shape.of(self.told.values, row, head));
            // After the last row the same once more, for nothing.
            let next = shape.of(self.at[0], if r + 1 < rows { row + 1 } else { row }, head);
            let (mut value, mut back) = ([s.f_splat(0.0); G], [s.f_splat(0.0); G]);
            each!(G, g => {
                value[g] = load_tail(s, &v[(group + g) * LANES..dim.min((group + g + 1) * LANES)]);
                back[g] = s.f_add(held[g][0], held[g][1]);
            });
            let mut sum = zero;
            held = zero;
            macro_rules! row {
                ($i:expr, $parity:literal) => {
                    let (k, b, decay) = (s.f_splat(k[$i]), s.f_splat(b[$i]), s.f_splat(d[$i]));
                    let (ask, next) = (s.f_splat(asks[$i]), s.f_splat(next[$i]));
                    each!(G, g => {
                        let at = &mut matrices[g][$i];
                        let m = s.f_fma(k, value[g], s.f_mul(decay, s.f_load(at)));
                        let m = s.f_fma(b, back[g], m);
                        s.f_store(at, m);
                        sum[g][$parity] = s.f_fma(ask, m, sum[g][$parity]);
                        held[g][$parity] = s.f_fma(next, m, held[g][$parity]);
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

/// Without.
#[derive(Clone, Copy)]
struct Fade<'a> {
    shape: WkvShape,
    told: Told<'a>,
    /// Factors of keys, where the answer comes before.
    before: Option<&'a [f32]>,
}

impl Rule for Fade<'_> {
    #[inline(always)]
    fn groups<S: Isa, const G: usize>(
        self,
        s: S,
        matrices: [&mut [[f32; LANES]]; G],
        out: [&mut [[f32; LANES]]; G],
        At { head, group, row: first }: At,
    ) {
        let (shape, dim) = (self.shape, self.shape.dim);
        for r in 0..out[0].len() {
            let row = first + r;
            let asks = shape.of(self.told.asks, row, head);
            let (d, k) = (shape.of(self.told.decays, row, head), shape.of(self.told.keys, row, head));
            let v = shape.of(self.told.values, row, head);
            let mut value = [s.f_splat(0.0); G];
            each!(G, g => { value[g] = load_tail(s, &v[(group + g) * LANES..dim.min((group + g + 1) * LANES)]) });
            let mut sum = [[s.f_splat(0.0); 2]; G];
            macro_rules! row {
                ($i:expr, $parity:literal, $before:expr) => {
                    let (key, decay, ask) = (s.f_splat(k[$i]), s.f_splat(d[$i]), s.f_splat(asks[$i]));
                    each!(G, g => {
                        let at = &mut matrices[g][$i];
                        let old = s.f_load(at);
                        let m = s.f_fma(key, value[g], s.f_mul(decay, old));
                        s.f_store(at, m);
                        let seen = match $before {
                            Some(u) => s.f_fma(s.f_mul(s.f_splat(u), key), value[g], old),
                            None => m,
                        };
                        sum[g][$parity] = s.f_fma(ask, seen, sum[g][$parity]);
                    });
                };
            }
            match self.before {
                Some(u) => {
                    let u = &u[head * dim..][..dim];
                    for i in (0..dim).step_by(2) {
                        row!(i, 0, Some(u[i]));
                        if i + 1 < dim {
                            row!(i + 1, 1, Some(u[i + 1]));
                        }
                    }
                }
                None => {
                    for i in (0..dim).step_by(2) {
                        row!(i, 0, None::<f32>);
                        if i + 1 < dim {
                            row!(i + 1, 1, None::<f32>);
                        }
                    }
                }
            }
            each!(G, g => { s.f_store(&mut out[g][r], s.f_add(sum[g][0], sum[g][1])) });
        }
    }
}

/// Tells the matrices the rows of all `parts`, one after the other within each, and writes their answers. Each part's `out`
/// (`[rows * padded_width]`) is for [`WkvShape::gather`].
///
/// # Panics
/// When the lengths do not fit the shape.
pub fn wkv(
    crew: &Crew<'_>,
    shape: &WkvShape,
    parts: &mut [StateRows<'_>],
    told: Told<'_>,
    answer: Answer<'_>,
    out: &mut [f32],
) {
    let rows: usize = parts.iter().map(|p| p.rows).sum();
    let all = [told.asks, told.decays, told.keys, told.values];
    assert!(all.iter().all(|x| x.len() == rows * shape.width()), "[rows, width]");
    assert_eq!(out.len(), rows * shape.padded_width());
    parts.iter().for_each(|p| assert_eq!(*p.state.shape(), shape.state()));
    let (shape, matrices) = (*shape, shape.matrices());
    match answer {
        Answer::Corrected(at) => {
            assert!(at.iter().all(|x| x.len() == rows * shape.width()), "[rows, width]");
            apply(crew, &matrices, parts, Correct { shape, told, at }, out);
        }
        Answer::Before(factors) => {
            assert_eq!(factors.len(), shape.width(), "[heads, dim]");
            apply(crew, &matrices, parts, Fade { shape, told, before: Some(factors) }, out);
        }
        Answer::After => apply(crew, &matrices, parts, Fade { shape, told, before: None }, out),
    }
}
