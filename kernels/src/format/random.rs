//! Random weights of a given size in any format, directly as blocks: for models that are only run for their speed.
//!
//! A block's integers are random bits. Its scales, of which a weight is a linear function, are set so that weights have a mean
//! of about zero and the root mean square asked for, as near to it as the format's scales come.

use super::{Float, Format, FormatVisitor, Quant, SUB, Section};
use half::{bf16, f16};

/// A small generator (SplitMix64); the same seed gives the same numbers everywhere.
#[derive(Clone, Debug)]
pub struct SplitMix(pub u64);

impl SplitMix {
    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Within -1..1.
    pub fn float(&mut self) -> f32 {
        (self.bits() >> 32) as f32 / (1u64 << 31) as f32 - 1.0
    }

    fn fill(&mut self, out: &mut [u8]) {
        for piece in out.chunks_mut(8) {
            piece.copy_from_slice(&self.bits().to_le_bytes()[..piece.len()]);
        }
    }
}

/// Makes weights, piece after piece.
#[derive(Clone, Debug)]
pub struct RandomWeights {
    format: Format,
    rms: f32,
    /// What a block's scales are on average, in turn.
    scales: Vec<f32>,
    /// How many scales a block has.
    count: usize,
    rng: SplitMix,
}

/// Blocks that are looked at to find the scales.
const SAMPLES: usize = 64;

impl RandomWeights {
    /// Weights in `format` with the root mean square `rms`.
    pub fn new(format: Format, rms: f32, seed: u64) -> Self {
        let mut rng = SplitMix(seed);
        let (scales, count) = format.visit(Scales(rms, &mut rng));
        Self { format, rms, scales, count, rng }
    }

    /// Fills whole blocks (file layout); bytes of a last one that is not whole are zero.
    pub fn fill(&mut self, out: &mut [u8]) {
        // A uniform distribution of this width has the root mean square asked for.
        let width = self.rms * 3f32.sqrt();
        let rng = &mut self.rng;
        match self.format {
            Format::F32 => {
                out.chunks_exact_mut(4).for_each(|b| b.copy_from_slice(&(width * rng.float()).to_le_bytes()))
            }
            Format::F16 => {
                let half = |rng: &mut SplitMix| f16::from_f32(width * rng.float()).to_le_bytes();
                out.chunks_exact_mut(2).for_each(|b| b.copy_from_slice(&half(rng)));
            }
            Format::Bf16 => {
                let half = |rng: &mut SplitMix| bf16::from_f32(width * rng.float()).to_le_bytes();
                out.chunks_exact_mut(2).for_each(|b| b.copy_from_slice(&half(rng)));
            }
            _ => {
                let whole = out.len() / self.format.block_bytes() * self.format.block_bytes();
                let (blocks, rest) = out.split_at_mut(whole);
                rng.fill(blocks);
                rest.fill(0);
                let (mut i, mut factor) = (0, 1.0);
                self.format.write_scales(blocks, || {
                    // The scales of a block move and change their sign together, which keeps the mean at zero.
                    if i % self.count == 0 {
                        factor = (1.0 + 0.25 * rng.float()) * rng.float().signum();
                    }
                    i += 1;
                    self.scales[(i - 1) % self.scales.len()] * factor
                });
            }
        }
    }

    /// `n` weights, rounded down to whole blocks.
    pub fn take(&mut self, n: usize) -> Vec<u8> {
        let mut out = vec![0; n / self.format.block_len() * self.format.block_bytes()];
        self.fill(&mut out);
        out
    }
}

struct Scales<'a>(f32, &'a mut SplitMix);

impl FormatVisitor for Scales<'_> {
    /// The scales in turn, and how many a block has.
    type Out = (Vec<f32>, usize);

    fn quant<Q: Quant>(self) -> Self::Out {
        // The second of two numbers is an offset; otherwise all scales are alike.
        let kinds = Q::PLAN.iter().filter(|s| matches!(s, Section::Half(_))).count().max(1);
        // Weights that each number alone would give, if it were 1.
        let mut parts: Vec<Vec<f32>> = vec![Vec::new(); kinds];
        let (mut block, mut count) = (vec![0; Q::BYTES], 0);
        for _ in 0..SAMPLES {
            self.1.fill(&mut block);
            for (i, part) in parts.iter_mut().enumerate() {
                count = 0;
                Q::write_scales(&mut block, &mut || {
                    count += 1;
                    if (count - 1) % kinds == i { 1.0 } else { 0.0 }
                });
                for s in 0..Q::BLOCK / SUB {
                    let c = Q::decode(&block, s);
                    part.extend((0..SUB).map(|k| c.weight(k)));
                }
            }
        }
        let mean = |v: &[f32]| v.iter().sum::<f32>() / v.len() as f32;
        // An offset takes the mean off; formats without one have a zero point instead.
        let ratio = if let [a, b, ..] = &parts[..] { -mean(a) / mean(b) } else { 0.0 };
        let factors = [1.0, ratio];
        let n = parts[0].len();
        let weight = |k: usize| parts.iter().zip(factors).map(|(p, f)| p[k] * f).sum::<f32>();
        let square = (0..n).map(|k| weight(k).powi(2)).sum::<f32>() / n as f32;
        let scale = self.0 / square.sqrt().max(f32::MIN_POSITIVE);
        (factors[..kinds].iter().map(|f| f * scale).collect(), count)
    }

    fn float<T: Float>(self) -> Self::Out {
        (Vec::new(), 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_have_the_size_asked_for() {
        for &format in Format::ALL {
            for rms in [0.02, 0.5] {
                let n = 256 * 64;
                let bytes = RandomWeights::new(format, rms, 3).take(n);
                let mut w = vec![0.0; n];
                format.dequantize(&bytes, &mut w);
                assert!(w.iter().all(|w| w.is_finite()));
                let mean = w.iter().sum::<f32>() / n as f32;
                let have = (w.iter().map(|w| w * w).sum::<f32>() / n as f32).sqrt();
                // A power of two is up to a root of two away.
                let near = if format == Format::Mxfp4 { 0.65..1.5 } else { 0.8..1.25 };
                assert!(near.contains(&(have / rms)), "{}: {have} instead of {rms}", format.name());
                assert!(mean.abs() < 0.15 * rms, "{}: mean {mean}", format.name());
            }
        }
    }
}
