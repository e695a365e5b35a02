//! Rotary position embedding.
//!
//! Pair `i` of a head at position `p` is turned by the angle `p * freq[i]`: `(a, b) -> (a cos - b sin, b cos + a sin)`.
//! Architectures differ in which channels form a pair ([`Pairing`]).

use crate::isa::{CpuIsa, Isa, Kernel};

/// Which channels of a head are turned together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairing {
    /// `(2 i, 2 i + 1)`: `llama`.
    Neighbours,
    /// `(i, i + rot / 2)`: `qwen2` and most others. Whatever of a head is not turned comes after it.
    Halves,
}

/// Fills `cos` and `sin` (`[freqs.len()]`) for one position, both times `magnitude`, computed in f64 with the `libm` crate
/// and rounded once.
///
/// # Panics
/// When the lengths differ.
pub fn angles(pos: u32, freqs: &[f64], magnitude: f64, cos: &mut [f32], sin: &mut [f32]) {
    assert!(freqs.len() == cos.len() && freqs.len() == sin.len());
    for (i, f) in freqs.iter().enumerate() {
        let a = f64::from(pos) * f;
        cos[i] = (libm::cos(a) * magnitude) as f32;
        sin[i] = (libm::sin(a) * magnitude) as f32;
    }
}

struct Rope<'a> {
    heads: &'a mut [f32],
    head_dim: usize,
    pairing: Pairing,
    cos: &'a [f32],
    sin: &'a [f32],
}

impl Kernel for Rope<'_> {
    type Out = ();
    #[inline(always)]
    fn call<S: Isa>(self, _: S) {
        let n = self.cos.len();
        for head in self.heads.chunks_exact_mut(self.head_dim) {
            match self.pairing {
                Pairing::Neighbours => {
                    for (i, p) in head[..2 * n].chunks_exact_mut(2).enumerate() {
                        let (c, s) = (self.cos[i], self.sin[i]);
                        (p[0], p[1]) = (p[0].mul_add(c, -(p[1] * s)), p[1].mul_add(c, p[0] * s));
                    }
                }
                Pairing::Halves => {
                    let (a, b) = head[..2 * n].split_at_mut(n);
                    for i in 0..n {
                        let (c, s) = (self.cos[i], self.sin[i]);
                        (a[i], b[i]) = (a[i].mul_add(c, -(b[i] * s)), b[i].mul_add(c, a[i] * s));
                    }
                }
            }
        }
    }
}

/// Turns the first `2 * cos.len()` channels of every head of `heads` (`[heads, head_dim]`), in place.
///
/// # Panics
/// When the tables are longer than half a head or `heads` is not whole heads.
pub fn rope(isa: CpuIsa, heads: &mut [f32], head_dim: usize, pairing: Pairing, cos: &[f32], sin: &[f32]) {
    assert!(cos.len() == sin.len() && 2 * cos.len() <= head_dim && heads.len().is_multiple_of(head_dim));
    isa.run_lanes(Rope { heads, head_dim, pairing, cos, sin });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Lcg;

    #[test]
    fn turns_the_right_pairs_the_same_on_every_isa() {
        let mut rng = Lcg(9);
        for (head_dim, rot) in [(2, 2), (8, 8), (64, 64), (80, 32), (128, 128)] {
            let freqs: Vec<f64> = (0..rot / 2).map(|i| libm::pow(10000.0, -2.0 * i as f64 / rot as f64)).collect();
            let (mut cos, mut sin) = (vec![0.0; rot / 2], vec![0.0; rot / 2]);
            angles(1234, &freqs, 1.0, &mut cos, &mut sin);
            let x: Vec<f32> = (0..3 * head_dim).map(|_| rng.float()).collect();
            for pairing in [Pairing::Neighbours, Pairing::Halves] {
                let mut first: Option<Vec<f32>> = None;
                for isa in CpuIsa::available() {
                    let mut y = x.clone();
                    rope(isa, &mut y, head_dim, pairing, &cos, &sin);
                    for h in 0..3 {
                        for i in 0..rot / 2 {
                            let (a, b) = match pairing {
                                Pairing::Neighbours => (2 * i, 2 * i + 1),
                                Pairing::Halves => (i, i + rot / 2),
                            };
                            let (a, b) = (h * head_dim + a, h * head_dim + b);
                            let t = 1234.0 * freqs[i];
                            let want = f64::from(x[a]) * libm::cos(t) - f64::from(x[b]) * libm::sin(t);
                            assert!((f64::from(y[a]) - want).abs() < 1e-6);
                        }
                        assert_eq!(
                            y[h * head_dim + rot..(h + 1) * head_dim],
                            x[h * head_dim + rot..(h + 1) * head_dim]
                        );
                    }
                    assert_eq!(*first.get_or_insert(y.clone()), y);
                }
            }
        }
    }
}
