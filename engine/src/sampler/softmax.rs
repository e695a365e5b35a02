//! Temperature and probabilities.

use super::Candidate;

/// The weight of a candidate next to the best one is `exp` of this, `(logit - best) / temperature`.
fn exponent(logit: f32, best: f32, temperature: f32) -> f64 {
    let x = (f64::from(logit) - f64::from(best)) / f64::from(temperature);
    // Infinite logits leave only their equals; temperature 0 comes with a single candidate.
    if logit == best { 0.0 } else { x }
}

/// What a candidate weighs at temperature 1.
pub(super) fn weight(logit: f32, best: f32) -> f64 {
    exp(exponent(logit, best, 1.0))
}

/// The weights of all these logits; what is not possible weighs nothing.
pub(super) fn weights(logits: impl Iterator<Item = f32>, best: f32, temperature: f32, out: &mut Vec<f64>) {
    out.clear();
    out.extend(logits.map(|logit| exponent(logit, best, temperature)));
    out.iter_mut().for_each(|x| *x = exp(*x));
}

/// Softmax over the candidates, of which the best has the logit `best`.
pub(super) fn probabilities(candidates: &[Candidate], best: f32, temperature: f32, out: &mut Vec<f64>) {
    weights(candidates.iter().map(|c| c.logit), best, temperature, out);
    let sum: f64 = out.iter().sum();
    out.iter_mut().for_each(|p| *p /= sum);
}

/// `e^x` for `x` up to 0, with a relative error below 2.5 * 2^-52; 0 below -708, where the result would be no normal
/// number, and of a NaN.
///
/// Only sums, products and choices, so it is the same on every machine, and the compiler computes several at once: a
/// vocabulary has a hundred thousand. `x = n ln 2 + r`, then the power series of `e^r` up to `r^13 / 13!`, whose rest is
/// below 2^-57 for `|r| <= ln 2 / 2`.
#[inline]
fn exp(x: f64) -> f64 {
    // Adding this rounds to a whole number, which is then in the last bits.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    // The first has 11 zero bits at its end, so that its product with n is exact.
    const LN2: [f64; 2] = [6.931_471_803_691_238e-1, 1.908_214_929_270_587_7e-10];
    let least = -708.0;
    let inside = if x > least { x } else { least };
    let shifted = inside * std::f64::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (inside - n * LN2[0]) - n * LN2[1];
    let mut series = 1.0 / 6_227_020_800.0;
    for factorial in [479_001_600.0, 39_916_800.0, 3_628_800.0, 362_880.0, 40_320.0, 5_040.0] {
        series = series * r + 1.0 / factorial;
    }
    for factorial in [720.0, 120.0, 24.0, 6.0, 2.0, 1.0, 1.0] {
        series = series * r + 1.0 / factorial;
    }
    let power = f64::from_bits((shifted.to_bits() << 52).wrapping_add(1023 << 52));
    if x > least { series * power } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_right_but_for_the_last_places() {
        let mut worst = 0.0f64;
        for i in 0..1_000_000 {
            let x = -f64::from(i) * 0.000_707_9;
            let want = libm::exp(x);
            worst = worst.max(((exp(x) - want) / want).abs());
        }
        assert!(worst < 2.5 * f64::EPSILON, "{worst:e}");
        assert_eq!([0.0, -708.1, f64::NEG_INFINITY, f64::NAN].map(exp), [1.0, 0.0, 0.0, 0.0]);
    }
}
