//! Activations to 8 bits: 32 values share a scale.
//!
//! `d = max|x| / 127`, `q = round_ties_even(x * (1 / d))`. A block whose `d` is below the smallest normal f32 (2^-126)
//! counts as all zero: its reciprocal would overflow, and its share of any dot product is below what f32 resolves.

use crate::format::{Form, SUB};
use crate::isa::{CpuIsa, Isa, Kernel};

/// Thirty-two activations, a cache line.
///
/// Besides the block itself it holds what the kernels start their integer sums from: a format whose stored weights have
/// a zero point `z` needs `-z * sum(q)`, and one load is cheaper there than a product.
#[derive(Clone, Copy, Debug, Default, PartialEq, bytemuck::Zeroable, bytemuck::Pod)]
#[repr(C, align(64))]
pub struct ActBlock {
    /// The integers, -127..=127, in fours as the dot instructions take them.
    pub q: [[i8; 4]; 8],
    /// The scale; 0 for an all-zero block.
    pub d: f32,
    /// Sum of all integers (exact).
    pub sum: f32,
    /// Sum of the first 16.
    pub first: f32,
    /// `-8`, `-16` and `-128` times the sum.
    less: [i32; 3],
    /// Minus the sums of the two halves of 16.
    less_half: [i32; 2],
}

const _: () = assert!(size_of::<ActBlock>() == 64);

impl ActBlock {
    /// A block from its scale and integers.
    pub fn new(d: f32, q: [[i8; 4]; 8]) -> Self {
        let ints = |part: &[[i8; 4]]| part.iter().flatten().map(|q| i32::from(*q)).sum();
        Self::from_sums(d, q, [ints(&q[..4]), ints(&q[4..])])
    }

    #[inline(always)]
    fn from_sums(d: f32, q: [[i8; 4]; 8], half: [i32; 2]) -> Self {
        let sum = half[0] + half[1];
        let less = [-8 * sum, -16 * sum, -128 * sum];
        Self { q, d, sum: sum as f32, first: half[0] as f32, less, less_half: [-half[0], -half[1]] }
    }

    /// What the integer sum over stored weights of form `F` starts from.
    #[inline(always)]
    pub(crate) fn start<S: Isa, F: Form>(&self, s: S) -> S::I {
        let zero = F::ZERO + if F::BITS == 8 { S::SIGNED_ZERO } else { 0 };
        match zero {
            0 => s.i_splat(0),
            8 => s.i_splat(self.less[0]),
            16 => s.i_splat(self.less[1]),
            128 => s.i_splat(self.less[2]),
            _ if zero.count_ones() == 1 && zero < 128 => s.i_splat(self.less[2] >> (7 - zero.trailing_zeros())),
            _ => s.i_splat(zero * (self.less_half[0] + self.less_half[1])),
        }
    }

    /// The same for half `h`, where halves have factors of their own.
    #[inline(always)]
    pub(crate) fn start_half<S: Isa, F: Form>(&self, s: S, h: usize) -> S::I {
        const { assert!(!F::HALVES || F::BITS <= 7) };
        match F::ZERO {
            0 => s.i_splat(0),
            zero if zero.count_ones() == 1 => s.i_shl(s.i_splat(self.less_half[h]), zero.trailing_zeros()),
            zero => s.i_splat(zero * self.less_half[h]),
        }
    }
}

/// A NaN or infinity among the activations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a value is not finite")]
pub struct NonFinite;

/// Rows whose blocks lie side by side.
///
/// The blocks of `n` rows are in groups of 16 rows (fewer in the last), each group sub-block by sub-block:
///
/// ```text
/// group 0: sub 0: row 0, row 1, ... row 15 | sub 1: row 0, row 1, ... | ...   group 1: ...
/// ```
///
/// so that what a product reads at a time, the same sub-block of several rows, is one stretch of memory. A single row's
/// blocks simply follow each other.
pub const GROUP: usize = 16;

/// Where the block of `row` and `sub` lies among those of `n` rows of `subs` blocks.
pub fn block_index(n: usize, subs: usize, row: usize, sub: usize) -> usize {
    let first = row / GROUP * GROUP;
    let height = GROUP.min(n - first);
    first * subs + sub * height + (row - first)
}

struct QuantizeGroup<'a> {
    x: &'a [f32],
    out: &'a mut [ActBlock],
    rows: usize,
}

impl Kernel for QuantizeGroup<'_> {
    type Out = Result<(), NonFinite>;

    #[inline(always)]
    fn call<S: Isa>(self, s: S) -> Self::Out {
        let subs = self.out.len() / self.rows;
        for row in 0..self.rows {
            let x = &self.x[row * subs * SUB..][..subs * SUB];
            for (x, out) in x.as_chunks::<SUB>().0.iter().zip(self.out.chunks_exact_mut(self.rows)) {
                let lo = s.f_load(x[..16].first_chunk().expect("16 of 32"));
                let hi = s.f_load(x[16..].first_chunk().expect("16 of 32"));
                out[row] = block(s, lo, hi)?;
            }
        }
        Ok(())
    }
}

/// The block of 32 values.
#[inline(always)]
pub(crate) fn block<S: Isa>(s: S, lo: S::F, hi: S::F) -> Result<ActBlock, NonFinite> {
    // Non-negative floats order like their bits, and infinity and NaNs lie above every finite number: one integer
    // maximum finds the largest magnitude and anything not finite.
    let sign = s.i_splat(0x7fff_ffff);
    let max = s.i_top(s.i_max(s.i_and(s.f_as_i(lo), sign), s.i_and(s.f_as_i(hi), sign)));
    let d = f32::from_bits(max as u32) / 127.0;
    if d < f32::MIN_POSITIVE {
        return Ok(ActBlock::default());
    }
    if max >= 0x7f80_0000 {
        return Err(NonFinite);
    }
    let inv = s.f_splat(1.0 / d);
    let (a, b) = (s.f_round(s.f_mul(lo, inv)), s.f_round(s.f_mul(hi, inv)));
    let half = [s.i_sum(a), s.i_sum(b)];
    let q: [[i8; 16]; 2] = [s.i_narrow(a), s.i_narrow(b)];
    Ok(ActBlock::from_sums(d, bytemuck::cast(q), half))
}

/// Quantizes the rows of one [`GROUP`] (`x` is `[rows, cols]`, `rows` at most 16, `cols` a multiple of 32) to their
/// blocks, `[cols / 32, rows]`. A single row is a group too.
///
/// # Errors
/// A NaN or infinity in `x`; the blocks are unspecified then.
///
/// # Panics
/// When the lengths do not fit together.
pub fn quantize(isa: CpuIsa, rows: usize, x: &[f32], out: &mut [ActBlock]) -> Result<(), NonFinite> {
    assert!(x.len().is_multiple_of(SUB * rows.max(1)) && out.len() == x.len() / SUB && rows <= GROUP);
    if out.is_empty() { Ok(()) } else { isa.run_lanes(QuantizeGroup { x, out, rows }) }
}

/// Quantizes `x` (`[n, cols]`) to all its groups, on one thread.
///
/// # Errors
/// As for [`quantize`].
///
/// # Panics
/// As for [`quantize`].
pub fn quantize_all(isa: CpuIsa, n: usize, x: &[f32], out: &mut [ActBlock]) -> Result<(), NonFinite> {
    let cols = x.len() / n.max(1);
    let groups = x.chunks((cols * GROUP).max(1)).zip(out.chunks_mut((cols / SUB * GROUP).max(1)));
    for (i, (x, out)) in groups.enumerate() {
        quantize(isa, GROUP.min(n - i * GROUP), x, out)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Lcg;

    fn naive(x: &[f32]) -> ActBlock {
        let max = x.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        let d = max / 127.0;
        if d < f32::MIN_POSITIVE {
            return ActBlock::default();
        }
        let mut q = [[0; 4]; 8];
        for (k, v) in x.iter().enumerate() {
            q[k / 4][k % 4] = (v * (1.0 / d)).round_ties_even() as i8;
        }
        ActBlock::new(d, q)
    }

    #[test]
    fn equals_the_definition_on_every_isa() {
        let mut rng = Lcg(7);
        for scale in [1.0, 1e-30, 1e30, 1e-38, 1e-44, 0.0] {
            let x: Vec<f32> = (0..32 * 9).map(|i| rng.float() * scale * if i % 64 < 32 { 1.0 } else { 0.01 }).collect();
            let want: Vec<ActBlock> = x.chunks(32).map(naive).collect();
            for isa in CpuIsa::available() {
                let mut got = vec![ActBlock { d: f32::NAN, sum: 77.0, ..Default::default() }; 9];
                quantize(isa, 1, &x, &mut got).unwrap();
                assert_eq!(got, want, "{}", isa.kind());
            }
        }
    }

    #[test]
    fn ties_go_to_even_and_extremes_stay_in_range() {
        let mut x = [0.0f32; 32];
        x[0] = 127.0;
        x[1] = 0.5;
        x[2] = 1.5;
        x[3] = -2.5;
        x[4] = -127.0;
        for isa in CpuIsa::available() {
            let mut got = [ActBlock::default()];
            quantize(isa, 1, &x, &mut got).unwrap();
            assert_eq!((got[0].q[0], got[0].q[1][0]), ([127, 0, 2, -2], -127));
        }
    }

    #[test]
    fn what_is_not_finite_is_an_error() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for at in [0, 17, 31, 40, 63] {
                let mut x = [1.0f32; 64];
                x[at] = bad;
                for isa in CpuIsa::available() {
                    assert_eq!(quantize(isa, 1, &x, &mut [ActBlock::default(); 2]), Err(NonFinite));
                }
            }
        }
        assert_eq!(quantize(CpuIsa::best(), 1, &[], &mut []), Ok(()));
    }

    #[test]
    fn rows_lie_in_groups() {
        let mut rng = Lcg(9);
        for (n, subs) in [(1, 3), (5, 2), (16, 1), (17, 3), (35, 2)] {
            let x = rng.floats(n * subs * 32);
            let mut got = vec![ActBlock::default(); n * subs];
            quantize_all(CpuIsa::best(), n, &x, &mut got).unwrap();
            let mut seen = vec![false; n * subs];
            for (i, x) in x.chunks(32).enumerate() {
                let at = block_index(n, subs, i / subs, i % subs);
                assert_eq!(got[at], naive(x), "row {} of {n}, block {}", i / subs, i % subs);
                assert!(!std::mem::replace(&mut seen[at], true));
            }
        }
    }
}
