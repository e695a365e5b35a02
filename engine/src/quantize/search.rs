//! The least-squares steps of the formats with 256 weights a block: the scale, or scale and offset, of a group of
//! `16 N` weights in `N` registers.
//!
//! An error is `sum w (x - x')^2`. The larger a weight, the more it counts: `w = rms + |x|`, the rms being that of the
//! block of 256. Generic over [`Isa`], as kernels are: the same bits on each. No closures around lanes, for the reason
//! that ARCHITECTURE.md gives.

use hewn_kernels::isa::Isa;

/// Weights of a block.
pub(super) const BLOCK: usize = 256;

/// Below this magnitude a block is zero: its scale would be, as an f16.
pub(super) const TINY: f32 = 1.0 / (1u64 << 40) as f32;

/// Some weights, and how much each counts.
#[derive(Clone, Copy)]
pub(super) struct Group<S: Isa, const N: usize> {
    x: [S::F; N],
    w: [S::F; N],
}

/// The sums over a group that the scale and offset of a block follow from; `a` is the integer times its scale.
#[derive(Clone, Copy, Default)]
pub(super) struct Moments {
    pub w: f32,
    pub wx: f32,
    pub wa: f32,
    pub waa: f32,
    pub wax: f32,
}

/// The register `i` of a block.
#[inline(always)]
fn register<S: Isa>(s: S, x: &[f32; BLOCK], i: usize) -> S::F {
    s.f_load(x[16 * i..].first_chunk().expect("a register within the block"))
}

#[inline(always)]
fn abs<S: Isa>(s: S, v: S::F) -> S::F {
    s.f_max(v, s.f_sub(s.f_splat(0.0), v))
}

/// The root of the mean square of a block.
#[inline(always)]
pub(super) fn rms<S: Isa>(s: S, x: &[f32; BLOCK]) -> f32 {
    let mut sum = s.f_splat(0.0);
    for i in 0..BLOCK / 16 {
        let v = register(s, x, i);
        sum = s.f_add(sum, s.f_mul(v, v));
    }
    (s.f_sum(sum) / BLOCK as f32).sqrt()
}

impl<S: Isa, const N: usize> Group<S, N> {
    /// Group `g` of a block with that rms.
    #[inline(always)]
    pub fn load(s: S, x: &[f32; BLOCK], g: usize, rms: f32) -> Self {
        let mut this = Self { x: [s.f_splat(0.0); N], w: [s.f_splat(rms); N] };
        for i in 0..N {
            this.x[i] = register(s, x, g * N + i);
            this.w[i] = s.f_add(this.w[i], abs(s, this.x[i]));
        }
        this
    }

    /// The integers, as floats, for `x ~ q / inv + offset` within `least..=most`.
    #[inline(always)]
    fn levels(&self, s: S, inv: f32, offset: f32, [least, most]: [f32; 2]) -> [S::F; N] {
        let mut q = self.x;
        for i in 0..N {
            let v = s.f_mul(s.f_sub(self.x[i], s.f_splat(offset)), s.f_splat(inv));
            let v = s.f_min(s.f_max(v, s.f_splat(least)), s.f_splat(most));
            q[i] = s.i_to_f(s.f_round(v));
        }
        q
    }

    /// The same as bytes, into the group's place.
    #[inline(always)]
    pub fn store(&self, s: S, inv: f32, offset: f32, range: [f32; 2], out: &mut [i8]) {
        let q = self.levels(s, inv, offset, range);
        for i in 0..N {
            out[16 * i..16 * i + 16].copy_from_slice(&s.i_narrow(s.f_round(q[i])));
        }
    }

    /// The error of `x ~ step q + offset`.
    #[inline(always)]
    pub fn error(&self, s: S, step: f32, offset: f32, range: [f32; 2]) -> f32 {
        let q = self.levels(s, inverse(step), offset, range);
        let mut sum = s.f_splat(0.0);
        for i in 0..N {
            let hit = s.f_add(s.f_mul(q[i], s.f_splat(step)), s.f_splat(offset));
            let miss = s.f_sub(self.x[i], hit);
            sum = s.f_add(sum, s.f_mul(self.w[i], s.f_mul(miss, miss)));
        }
        s.f_sum(sum)
    }

    /// The sums for integers times `scale`.
    #[inline(always)]
    pub fn moments(&self, s: S, inv: f32, offset: f32, range: [f32; 2], scale: f32) -> Moments {
        let q = self.levels(s, inv, offset, range);
        let zero = s.f_splat(0.0);
        let (mut w, mut wx, mut wa, mut waa, mut wax) = (zero, zero, zero, zero, zero);
        for i in 0..N {
            let a = s.f_mul(q[i], s.f_splat(scale));
            let part = s.f_mul(self.w[i], a);
            w = s.f_add(w, self.w[i]);
            wx = s.f_add(wx, s.f_mul(self.w[i], self.x[i]));
            wa = s.f_add(wa, part);
            waa = s.f_add(waa, s.f_mul(part, a));
            wax = s.f_add(wax, s.f_mul(part, self.x[i]));
        }
        Moments { w: s.f_sum(w), wx: s.f_sum(wx), wa: s.f_sum(wa), waa: s.f_sum(waa), wax: s.f_sum(wax) }
    }

    /// The largest, of `x` times `sign`.
    #[inline(always)]
    fn top(&self, s: S, sign: f32) -> f32 {
        let mut top = s.f_mul(self.x[0], s.f_splat(sign));
        for i in 1..N {
            top = s.f_max(top, s.f_mul(self.x[i], s.f_splat(sign)));
        }
        s.f_top(top)
    }

    /// Scale and offset for `x ~ scale q + offset` with integers `q` in `0..=top`, scale >= 0 and offset <= 0.
    #[inline(always)]
    pub fn affine(&self, s: S, top: f32) -> [f32; 2] {
        let (lo, hi) = ((-self.top(s, -1.0)).min(0.0), self.top(s, 1.0));
        if hi - lo < TINY {
            return [0.0, lo];
        }
        let sums = self.moments(s, 0.0, 0.0, [0.0, top], 1.0);
        // The largest error: that of no step.
        let mut best = (f32::INFINITY, 0.0, 0.0);
        for i in 0..=20u8 {
            // Some weights may be cut off at the ends, for the good of the others.
            let levels = top + (f32::from(i) - 10.0) * (0.1 * (top / 8.0).clamp(0.5, 1.5));
            let mut next = self.affine_fit(s, sums, (hi - lo) / levels, lo, top);
            // The integers that go with the new scale may be better still.
            for _ in 0..2 {
                if next.1 <= 0.0 {
                    break;
                }
                let again = self.affine_fit(s, sums, next.1, next.2, top);
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

    /// The best scale and offset for the integers that go with these, and the error but for the constant `sum w x^2`.
    #[inline(always)]
    fn affine_fit(&self, s: S, sums: Moments, scale: f32, offset: f32, top: f32) -> (f32, f32, f32) {
        let m = self.moments(s, inverse(scale), offset, [0.0, top], 1.0);
        let (q1, q2, qx, sw, sx) = (m.wa, m.waa, m.wax, sums.w, sums.wx);
        let det = sw * q2 - q1 * q1;
        let (mut a, mut o) = ((sw * qx - sx * q1) / det, (q2 * sx - q1 * qx) / det);
        // All integers the same, or an offset that the format cannot hold.
        if det <= 0.0 || o > 0.0 {
            (a, o) = (if q2 > 0.0 { qx / q2 } else { 0.0 }, 0.0);
        }
        (a * (a * q2 + 2.0 * (o * q1 - qx)) + o * (o * sw - 2.0 * sx), a, o)
    }

    /// Scale (of either sign) for `x ~ scale q` with integers `q` in `-half..half`.
    #[inline(always)]
    pub fn symmetric(&self, s: S, half: f32) -> f32 {
        let (lo, hi) = (self.top(s, -1.0), self.top(s, 1.0));
        let peak = if hi >= lo { hi } else { -lo };
        if peak.abs() < TINY {
            return 0.0;
        }
        let mut best = (0.0, 0.0);
        let by = 0.1 * (half / 16.0).clamp(0.5, 1.0);
        // The peak at the end that reaches further, or at the other.
        for i in 0..38u8 {
            let shift = (f32::from(i % 19) - 9.0) * by;
            let level = if i < 19 { -half - shift } else { half - 1.0 + shift };
            let next = self.symmetric_fit(s, peak / level, half);
            if next.0 > best.0 {
                best = next;
            }
        }
        // The integers that go with the new scale may be better still.
        for _ in 0..3 {
            let next = self.symmetric_fit(s, best.1, half);
            if next.0 <= best.0 {
                break;
            }
            best = next;
        }
        best.1
    }

    /// The best scale for the integers that go with this one, and by how much the error falls.
    #[inline(always)]
    fn symmetric_fit(&self, s: S, scale: f32, half: f32) -> (f32, f32) {
        let m = self.moments(s, inverse(scale), 0.0, [-half, half - 1.0], 1.0);
        if m.waa > 0.0 { (m.wax * m.wax / m.waa, m.wax / m.waa) } else { (0.0, 0.0) }
    }
}

/// `1 / v`; 0 for 0 and for what is so small that its inverse would be infinite.
#[inline(always)]
pub(super) fn inverse(v: f32) -> f32 {
    if v.abs() > f32::MIN_POSITIVE { 1.0 / v } else { 0.0 }
}
