//! Inputs for the benchmarks: random weights with finite scales.

use hewn_kernels::format::{Float, Format, FormatVisitor, Quant};

/// A small deterministic generator.
#[derive(Clone, Debug)]
pub struct Lcg(pub u64);

impl Lcg {
    /// The next 32 random bits.
    pub fn bits(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 32) as u32
    }

    /// Within -1..1.
    pub fn float(&mut self) -> f32 {
        self.bits() as f32 / (1u64 << 31) as f32 - 1.0
    }
}

struct Weights<'a>(usize, &'a mut Lcg);

impl FormatVisitor for Weights<'_> {
    type Out = Vec<u8>;

    fn quant<Q: Quant>(self) -> Vec<u8> {
        let mut data: Vec<u8> = (0..self.0 / Q::BLOCK * Q::BYTES).map(|_| self.1.bits() as u8).collect();
        data.chunks_exact_mut(Q::BYTES).for_each(|b| Q::write_scales(b, &mut || 0.01 + 0.002 * self.1.float()));
        data
    }

    fn float<T: Float>(self) -> Vec<u8> {
        // 0x3c.. is near 0.01 in F32 and BF16 and near 1 in F16.
        (0..self.0 * T::BYTES)
            .map(|i| if (i + 1) % T::BYTES == 0 { 0x3c } else { self.1.bits() as u8 & 0x7f })
            .collect()
    }
}

/// `n` weights of a format, in its file layout.
pub fn weights(format: Format, n: usize, rng: &mut Lcg) -> Vec<u8> {
    format.visit(Weights(n, rng))
}
