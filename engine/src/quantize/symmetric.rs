//! Blocks of 256 weights in groups of 16, each with a signed integer scale: `weight = d scale[g] q`.
//!
//! As in `affine`: each group by itself, `d` from the largest scale, then in turns the integers and `d`.

use super::search::{BLOCK, TINY, importance, round, symmetric, weighted};
use super::to_half;

const GROUP: usize = 16;
const TURNS: usize = 4;

/// An encoded block.
pub(super) struct Symmetric {
    pub d: f32,
    pub scale: [i8; BLOCK / GROUP],
    pub q: [i8; BLOCK],
}

/// Encodes a block with integers in `-half..half` and scales in `-reach..reach`.
pub(super) fn encode(x: &[f32], half: i8, reach: u8) -> Symmetric {
    let mut out = Symmetric { d: 0.0, scale: [0; BLOCK / GROUP], q: [0; BLOCK] };
    let Some(x) = x.first_chunk::<BLOCK>().filter(|x| super::peak(&x[..]).abs() >= TINY) else { return out };
    let w = importance(x);
    let (half, reach) = (f32::from(half), f32::from(reach));
    let mut fits = [0.0; BLOCK / GROUP];
    for (fit, (x, w)) in fits.iter_mut().zip(x.chunks_exact(GROUP).zip(w.chunks_exact(GROUP))) {
        *fit = symmetric(x, w, half);
    }
    // The largest scale takes the end that reaches further.
    let mut d = to_half(super::peak(&fits) / -reach);
    let mut best = f32::INFINITY;
    for turn in 0..TURNS {
        let mut now = Symmetric { d, scale: [0; BLOCK / GROUP], q: [0; BLOCK] };
        let (mut total, mut aa, mut ax) = (0.0, 0.0, 0.0);
        for (g, fit) in fits.iter().enumerate() {
            let at = g * GROUP..(g + 1) * GROUP;
            let (x, w) = (&x[at.clone()], &w[at.clone()]);
            let centre = if d == 0.0 { 0.0 } else { round((fit / d).clamp(-reach, reach - 1.0)) };
            let (error, scale) = group(x, w, d, centre, half, reach);
            total += error;
            now.scale[g] = scale as i8;
            let inv = unit_inverse(d * scale);
            for (q, (x, w)) in now.q[at].iter_mut().zip(x.iter().zip(w)) {
                let level = round((x * inv).clamp(-half, half - 1.0));
                *q = level as i8;
                let a = scale * level;
                (aa, ax) = (aa + w * a * a, ax + w * a * x);
            }
        }
        if total >= best {
            break;
        }
        (best, out) = (total, now);
        let next = if aa > 0.0 { to_half(ax / aa) } else { 0.0 };
        if turn + 1 == TURNS || next == d || next == 0.0 || !next.is_finite() {
            break;
        }
        d = next;
    }
    out
}

fn unit_inverse(v: f32) -> f32 {
    if v.abs() > f32::MIN_POSITIVE { 1.0 / v } else { 0.0 }
}

/// The best of the scales about `centre`: error, scale.
fn group(x: &[f32], w: &[f32], d: f32, centre: f32, half: f32, reach: f32) -> (f32, f32) {
    let mut best = (f32::INFINITY, 0.0);
    for ds in [0.0, -1.0, 1.0, -2.0, 2.0] {
        let scale = centre + ds;
        if (d == 0.0 && ds != 0.0) || !(-reach..=reach - 1.0).contains(&scale) {
            continue;
        }
        let step = d * scale;
        let inv = unit_inverse(step);
        let [error] = weighted(x, w, |x, w| {
            let miss = x - step * round((x * inv).clamp(-half, half - 1.0));
            [w * miss * miss]
        });
        if error < best.0 {
            best = (error, scale);
        }
    }
    best
}
