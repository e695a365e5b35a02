//! Elementwise operations of the feed-forward part and the residual stream.

use crate::isa::{CpuIsa, Isa, Kernel, load_tail, store_tail};
use crate::math::exp;

struct SiluGate<'a> {
    gate: &'a mut [f32],
    up: &'a [f32],
}

impl Kernel for SiluGate<'_> {
    type Out = ();
    #[inline(always)]
    fn call<S: Isa>(self, s: S) {
        for (o, u) in self.gate.chunks_mut(16).zip(self.up.chunks(16)) {
            let g = load_tail(s, o);
            let e = exp(s, s.f_sub(s.f_splat(0.0), g));
            let silu = s.f_div(g, s.f_add(s.f_splat(1.0), e));
            store_tail(s, o, s.f_mul(silu, load_tail(s, u)));
        }
    }
}

/// `gate = gate / (1 + exp(-gate)) * up`, elementwise.
///
/// # Panics
/// When the lengths differ.
pub fn silu_gate(isa: CpuIsa, gate: &mut [f32], up: &[f32]) {
    assert_eq!(gate.len(), up.len());
    isa.run(SiluGate { gate, up });
}

/// `x += y`, elementwise.
///
/// # Panics
/// When the lengths differ.
pub fn add(x: &mut [f32], y: &[f32]) {
    assert_eq!(x.len(), y.len());
    x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Lcg;

    #[test]
    fn silu_gate_is_right_and_equal_on_every_isa() {
        let mut rng = Lcg(5);
        for n in [0, 1, 15, 16, 17, 100] {
            let g: Vec<f32> = (0..n).map(|i| rng.float() * if i % 7 == 0 { 200.0 } else { 4.0 }).collect();
            let u: Vec<f32> = (0..n).map(|_| rng.float()).collect();
            let mut first: Option<Vec<u32>> = None;
            for isa in CpuIsa::available() {
                let mut y = g.clone();
                silu_gate(isa, &mut y, &u);
                for i in 0..n {
                    let want = f64::from(g[i]) / (1.0 + libm::exp(-f64::from(g[i]))) * f64::from(u[i]);
                    assert!((f64::from(y[i]) - want).abs() <= 1e-6 * want.abs() + 1e-30, "{} {want} {}", g[i], y[i]);
                }
                let bits: Vec<u32> = y.iter().map(|v| v.to_bits()).collect();
                assert_eq!(*first.get_or_insert(bits.clone()), bits);
            }
        }
    }
}
