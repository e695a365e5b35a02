//! Blocks of 256 weights in groups, each with an integer scale and an integer offset:
//! `weight = d scale[g] q - dmin offset[g]`.
//!
//! First each group by itself (`search::affine`); then `d` and `dmin` from the largest; then, in turns, the integers of
//! each group (with a look at their neighbours) and, by least squares, `d` and `dmin` for these integers, as long as the
//! error falls.

use super::search::{BLOCK, TINY, affine, importance, round, weighted};
use super::to_half;

/// An encoded block; `scale`, `offset` and `q` are used up to the number of groups and 256.
pub(super) struct Affine {
    pub d: f32,
    pub dmin: f32,
    pub scale: [u8; 16],
    pub offset: [u8; 16],
    pub q: [u8; BLOCK],
}

/// How often the steps are repeated at most.
const TURNS: usize = 4;

/// Encodes a block in groups of `GROUP` weights, integers up to `top`, their scales and offsets up to `most`.
pub(super) fn encode<const GROUP: usize>(x: &[f32], top: u8, most: u8) -> Affine {
    let mut out = Affine { d: 0.0, dmin: 0.0, scale: [0; 16], offset: [0; 16], q: [0; BLOCK] };
    let Some(x) = x.first_chunk::<BLOCK>().filter(|x| super::peak(&x[..]).abs() >= TINY) else { return out };
    let w = importance(x);
    let (top, most) = (f32::from(top), f32::from(most));
    let groups = BLOCK / GROUP;
    let mut fits = [[0.0; 2]; 16];
    for (fit, (x, w)) in fits.iter_mut().zip(x.chunks_exact(GROUP).zip(w.chunks_exact(GROUP))) {
        *fit = affine(x, w, top);
    }
    let fits = &fits[..groups];
    let largest = |k: usize, sign: f32| fits.iter().fold(0.0f32, |m, f| m.max(sign * f[k]));
    let mut best = f32::INFINITY;
    let (mut d, mut dmin) = (to_half(largest(0, 1.0) / most), to_half(largest(1, -1.0) / most));
    for turn in 0..TURNS {
        let mut now = Affine { d, dmin, scale: [0; 16], offset: [0; 16], q: [0; BLOCK] };
        let mut total = 0.0;
        // For the least squares: x ~ d a - dmin b.
        let (mut aa, mut ab, mut bb, mut ax, mut bx) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for (g, fit) in fits.iter().enumerate() {
            let at = g * GROUP..(g + 1) * GROUP;
            let (x, w) = (&x[at.clone()], &w[at.clone()]);
            let near = |v: f32, unit: f32| if unit > 0.0 { round((v / unit).min(most)) } else { 0.0 };
            let centre = [near(fit[0], d), near(-fit[1], dmin)];
            let (error, scale, offset) = group(x, w, d, dmin, centre, top, most);
            total += error;
            (now.scale[g], now.offset[g]) = (scale as u8, offset as u8);
            let (inv, low) = (unit_inverse(d * scale), dmin * offset);
            for (q, x) in now.q[at.clone()].iter_mut().zip(x) {
                *q = round(((x + low) * inv).clamp(0.0, top)) as u8;
            }
            for (q, (x, w)) in now.q[at].iter().zip(x.iter().zip(w)) {
                let (a, b) = (scale * f32::from(*q), offset);
                (aa, ab, bb) = (aa + w * a * a, ab + w * a * b, bb + w * b * b);
                (ax, bx) = (ax + w * a * x, bx + w * b * x);
            }
        }
        if total >= best {
            break;
        }
        (best, out) = (total, now);
        let det: f32 = aa * bb - ab * ab;
        let (nd, nm) = if det > 1e-6 * aa * bb {
            ((ax * bb - bx * ab) / det, (ax * ab - bx * aa) / det)
        } else {
            (if aa > 0.0 { ax / aa } else { 0.0 }, 0.0)
        };
        let next = (to_half(nd), to_half(nm.max(0.0)));
        if turn + 1 == TURNS || next == (d, dmin) || !(next.0 > 0.0 && next.0.is_finite() && next.1.is_finite()) {
            break;
        }
        (d, dmin) = next;
    }
    out
}

/// `1 / v`; 0 for 0 and for what is so small that its inverse would be infinite.
fn unit_inverse(v: f32) -> f32 {
    if v > f32::MIN_POSITIVE { 1.0 / v } else { 0.0 }
}

/// The best of the scales and offsets about `centre`: error, scale, offset.
fn group(x: &[f32], w: &[f32], d: f32, dmin: f32, centre: [f32; 2], top: f32, most: f32) -> (f32, f32, f32) {
    let mut best = (f32::INFINITY, 0.0, 0.0);
    for ds in [0.0, -1.0, 1.0] {
        for dm in [0.0, -1.0, 1.0] {
            let (scale, offset) = (centre[0] + ds, centre[1] + dm);
            // Where there is no unit, its integer says nothing.
            let idle = (d == 0.0 && ds != 0.0) || (dmin == 0.0 && dm != 0.0);
            if idle || !(0.0..=most).contains(&scale) || !(0.0..=most).contains(&offset) {
                continue;
            }
            let (step, low) = (d * scale, dmin * offset);
            let inv = unit_inverse(step);
            let [error] = weighted(x, w, |x, w| {
                let q = round(((x + low) * inv).clamp(0.0, top));
                let miss = x - (step * q - low);
                [w * miss * miss]
            });
            if error < best.0 {
                best = (error, scale, offset);
            }
        }
    }
    best
}
