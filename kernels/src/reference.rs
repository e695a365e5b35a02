//! The oracle: the numeric contract at a glance, one output at a time, with no lanes, tiles or threads.
//!
//! Everything fast is tested to equal these few lines bit for bit.

use crate::format::{Float, Form, Format, FormatVisitor, Quant, SUB};
use crate::isa::{Isa, Kernel, scalar::Scalar};
use crate::kv::TILE;
use crate::op::attention::Rules;
use crate::op::quantize::ActBlock;

/// One output of a matrix product: `row` in file layout, the column as f32 (`[cols]`) and quantized (`[cols / 32]`).
pub fn dot(format: Format, row: &[u8], floats: &[f32], blocks: &[ActBlock]) -> f32 {
    struct Dot<'a>(&'a [u8], &'a [f32], &'a [ActBlock]);
    impl FormatVisitor for Dot<'_> {
        type Out = f32;

        fn quant<Q: Quant>(self) -> f32 {
            let subs = Q::BLOCK / SUB;
            let mut acc = 0.0f32;
            for (i, x) in self.2.iter().enumerate() {
                let c = Q::decode(&self.0[i / subs * Q::BYTES..][..Q::BYTES], i % subs);
                let x_at = |k: usize| i32::from(x.q[k / 4][k % 4]);
                let isum = |h: usize| (16 * h..16 * h + 16).map(|k| i32::from(c.q[k]) * x_at(k)).sum::<i32>() as f32;
                let asum = |h: usize| (16 * h..16 * h + 16).map(x_at).sum::<i32>() as f32;
                // Halves are put together in f32, exactly where their factors are integers.
                let both = |sum: [f32; 2], factor: [f32; 2]| sum[1].mul_add(factor[1], sum[0] * factor[0]);
                acc = (c.scale * x.d).mul_add(both([isum(0), isum(1)], c.half), acc);
                if Q::Form::OFFSET {
                    acc = (c.offset * x.d).mul_add(both([asum(0), asum(1)], c.offset_half), acc);
                }
            }
            acc
        }

        fn float<T: Float>(self) -> f32 {
            let mut lanes = [0.0f32; 16];
            for k in 0..self.1.len().next_multiple_of(16) {
                let (w, x) = match self.1.get(k) {
                    Some(&x) => (T::decode(&self.0[k * T::BYTES..]), x),
                    None => (0.0, 0.0),
                };
                lanes[k % 16] = w.mul_add(x, lanes[k % 16]);
            }
            tree(lanes)
        }
    }
    format.visit(Dot(row, floats, blocks))
}

/// Sums sixteen lanes by the contract's tree.
fn tree(mut lanes: [f32; 16]) -> f32 {
    for half in [8, 4, 2, 1] {
        (0..half).for_each(|j| lanes[j] += lanes[j + half]);
    }
    lanes[0]
}

/// One number's `e^x`.
pub fn exp(x: f32) -> f32 {
    struct One(f32);
    impl Kernel for One {
        type Out = f32;
        #[inline(always)]
        fn call<S: Isa>(self, s: S) -> f32 {
            let mut out = [0.0; 16];
            s.f_store(&mut out, crate::math::exp(s, s.f_splat(self.0)));
            out[0]
        }
    }
    Scalar.run(One(x))
}

/// One number's hyperbolic tangent.
pub fn tanh(x: f32) -> f32 {
    1.0 - 2.0 / (exp(x + x) + 1.0)
}

/// Attention of one head: query `q` over positions `0..seen` (or the last of them), whose keys and values (already rounded
/// to the cache's number format) come from `k(position, channel)` and `v(position, channel)`. The head's sink is the one
/// of `rules`.
pub fn attention(
    q: &[f32],
    seen: usize,
    v_dim: usize,
    rules: &Rules<'_>,
    k: impl Fn(usize, usize) -> f32,
    v: impl Fn(usize, usize) -> f32,
) -> Vec<f32> {
    let (mut max, mut sum, mut out) = (f32::NEG_INFINITY, 0.0f32, vec![0.0f32; v_dim]);
    let first = rules.window.map_or(0, |w| seen.saturating_sub(w));
    for start in (first / TILE * TILE..seen).step_by(TILE) {
        let positions = start.max(first)..seen.min(start + TILE);
        let score = |p| {
            let s = q.iter().enumerate().fold(0.0f32, |acc, (d, q)| q.mul_add(k(p, d), acc)) * rules.scale;
            rules.cap.map_or(s, |cap| cap * tanh(s / cap))
        };
        let scores: Vec<f32> = positions.clone().map(score).collect();
        let top = scores.iter().fold(f32::NEG_INFINITY, |m, &s| m.max(s));
        let e: Vec<f32> = scores.iter().map(|s| exp(s - top)).collect();
        let mut lanes = [0.0f32; 16];
        positions.clone().zip(&e).for_each(|(p, e)| lanes[p % 16] += e);
        let new = max.max(top);
        let (keep, add) = (exp(max - new), exp(top - new));
        max = new;
        sum = tree(lanes).mul_add(add, sum * keep);
        for (c, o) in out.iter_mut().enumerate() {
            let part = positions.clone().zip(&e).fold(0.0f32, |acc, (p, e)| e.mul_add(v(p, c), acc));
            *o = part.mul_add(add, *o * keep);
        }
    }
    if let Some(&[sink]) = rules.sinks {
        let new = max.max(sink);
        let (keep, add) = (exp(max - new), exp(sink - new));
        sum = sum * keep + add;
        out.iter_mut().for_each(|o| *o *= keep);
    }
    out.iter().map(|o| o * (1.0 / sum)).collect()
}
