//! The least-squares steps of the formats with 256 weights a block: the scale, or scale and offset, of a few weights.
//!
//! An error is `sum w (x - x')^2`. The larger a weight, the more it counts: `w = rms + |x|`, the rms being that of the
//! block of 256. Sums run over four lanes, which the compiler makes a register of.

/// Weights of a block.
pub(super) const BLOCK: usize = 256;

/// Below this magnitude a block is zero: its scale would be, as an f16.
pub(super) const TINY: f32 = 1.0 / (1u64 << 40) as f32;

/// Rounds to the nearest integer, ties to even; for magnitudes below 2^22.
pub(super) fn round(v: f32) -> f32 {
    const SHIFT: f32 = 12_582_912.0; // 1.5 * 2^23
    (v + SHIFT) - SHIFT
}

/// How much each weight counts.
pub(super) fn importance(x: &[f32; BLOCK]) -> [f32; BLOCK] {
    let rms = (sums(x, |v| [v * v])[0] / BLOCK as f32).sqrt();
    let mut w = [0.0; BLOCK];
    for (w, x) in w.iter_mut().zip(x) {
        *w = rms + x.abs();
    }
    w
}

fn sums<const K: usize>(x: &[f32], f: impl Fn(f32) -> [f32; K]) -> [f32; K] {
    weighted(x, x, |x, _| f(x))
}

/// `sum f(x, w)` over all, in four lanes; the length is a multiple of four.
#[inline(always)]
pub(super) fn weighted<const K: usize>(x: &[f32], w: &[f32], f: impl Fn(f32, f32) -> [f32; K]) -> [f32; K] {
    let mut lanes = [[0.0f32; 4]; K];
    for (x, w) in x.chunks_exact(4).zip(w.chunks_exact(4)) {
        for l in 0..4 {
            let terms = f(x[l], w[l]);
            for k in 0..K {
                lanes[k][l] += terms[k];
            }
        }
    }
    let mut out = [0.0; K];
    for k in 0..K {
        out[k] = (lanes[k][0] + lanes[k][1]) + (lanes[k][2] + lanes[k][3]);
    }
    out
}

/// Scale and offset for `x ~ scale q + offset` with integers `q` in `0..=top`, scale >= 0 and offset <= 0.
pub(super) fn affine(x: &[f32], w: &[f32], top: f32) -> [f32; 2] {
    let (lo, hi) = x.iter().fold((0.0f32, x[0]), |(lo, hi), v| (lo.min(*v), hi.max(*v)));
    if hi - lo < TINY {
        return [0.0, lo];
    }
    let [sw, sx] = weighted(x, w, |x, w| [w, w * x]);
    // What the error is but for the constant sum of w x^2.
    let fit = |scale: f32, offset: f32| {
        let inv = 1.0 / scale;
        let [q1, q2, qx] = weighted(x, w, |x, w| {
            let q = round(((x - offset) * inv).clamp(0.0, top));
            [w * q, w * q * q, w * q * x]
        });
        let det = sw * q2 - q1 * q1;
        let (mut s, mut o) = ((sw * qx - sx * q1) / det, (q2 * sx - q1 * qx) / det);
        // All integers the same, or an offset that the format cannot hold.
        if !(det > 0.0 && o <= 0.0) {
            (s, o) = (if q2 > 0.0 { qx / q2 } else { 0.0 }, 0.0);
        }
        let error = s * (s * q2 + 2.0 * (o * q1 - qx)) + o * (o * sw - 2.0 * sx);
        (error, s, o)
    };
    let mut best = (f32::INFINITY, (hi - lo) / top, lo);
    for step in -10i8..=10 {
        // Some weights may be cut off at the ends, for the good of the others.
        let levels = top + f32::from(step) * (0.1 * (top / 8.0).clamp(0.5, 1.5));
        let mut next = fit((hi - lo) / levels.max(0.5), lo);
        // The integers that go with the new scale may be better still.
        for _ in 0..2 {
            if next.1 <= 0.0 {
                break;
            }
            let again = fit(next.1, next.2);
            if again.0 >= next.0 {
                break;
            }
            next = again;
        }
        if next.0 < best.0 && next.1 > 0.0 {
            best = next;
        }
    }
    [best.1, best.2]
}

/// Scale (of either sign) for `x ~ scale q` with integers `q` in `-half..half`.
pub(super) fn symmetric(x: &[f32], w: &[f32], half: f32) -> f32 {
    let peak = super::peak(x);
    if peak.abs() < TINY {
        return 0.0;
    }
    // The error falls by qx^2 / q2.
    let fit = |scale: f32| {
        let inv = 1.0 / scale;
        let [qx, q2] = weighted(x, w, |x, w| {
            let q = round((x * inv).clamp(-half, half - 1.0));
            [w * q * x, w * q * q]
        });
        if q2 > 0.0 { (qx * qx / q2, qx / q2) } else { (0.0, 0.0) }
    };
    let mut best = (0.0, 0.0);
    // The peak at the end that reaches further, or at the other.
    for (end, span) in [(-half, 9i8), (half - 1.0, 9)] {
        for step in -span..=span {
            let level = end + f32::from(step) * 0.1 * end.signum() * (half / 16.0).clamp(0.5, 1.0);
            let mut next = fit(peak / level);
            for _ in 0..2 {
                if next.1 == 0.0 {
                    break;
                }
                let again = fit(next.1);
                if again.0 <= next.0 {
                    break;
                }
                next = again;
            }
            if next.0 > best.0 {
                best = next;
            }
        }
    }
    best.1
}
