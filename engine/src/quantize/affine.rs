//! Blocks of 256 weights in groups, each with an integer scale and an integer offset:
//! `weight = d scale[g] q - dmin offset[g]`.
//!
//! First each group by itself (`search`); then `d` and `dmin` from the largest; then, in turns, the integers of each
//! group (with a look at their neighbours) and, by least squares, `d` and `dmin` for these integers, as long as the error
//! falls.

use super::search::{BLOCK, Group, TINY, inverse, rms};
use super::to_half;
use hewn_kernels::CpuIsa;
use hewn_kernels::isa::{Isa, Kernel};

/// An encoded block; `scale` and `offset` are used up to the number of groups.
#[derive(Clone, Copy)]
pub(super) struct Affine {
    pub d: f32,
    pub dmin: f32,
    pub scale: [u8; 16],
    pub offset: [u8; 16],
    pub q: [i8; BLOCK],
}

/// How often the steps are repeated at most.
const TURNS: usize = 4;

/// Encodes a block in groups of `16 N` weights, integers up to `top`, their scales and offsets up to `most`.
pub(super) fn encode<const N: usize>(isa: CpuIsa, x: &[f32], top: u8, most: u8) -> Affine {
    let zero = Affine { d: 0.0, dmin: 0.0, scale: [0; 16], offset: [0; 16], q: [0; BLOCK] };
    match x.first_chunk::<BLOCK>().filter(|x| super::peak(&x[..]).abs() >= TINY) {
        Some(x) => isa.run_lanes(Search::<N> { x, top: top.into(), most: most.into(), zero }),
        None => zero,
    }
}

struct Search<'a, const N: usize> {
    x: &'a [f32; BLOCK],
    top: f32,
    most: f32,
    zero: Affine,
}

impl<const N: usize> Kernel for Search<'_, N> {
    type Out = Affine;

    #[inline(always)]
    fn call<S: Isa>(self, s: S) -> Affine {
        let rms = rms(s, self.x);
        let groups = BLOCK / 16 / N;
        let mut fits = [[0.0; 2]; 16];
        let (mut largest, mut lowest) = (0.0f32, 0.0f32);
        for g in 0..groups {
            fits[g] = Group::<S, N>::load(s, self.x, g, rms).affine(s, self.top);
            (largest, lowest) = (largest.max(fits[g][0]), lowest.min(fits[g][1]));
        }
        let (mut d, mut dmin) = (to_half(largest / self.most), to_half(-lowest / self.most));
        let (mut best, mut out) = (f32::INFINITY, self.zero);
        for turn in 0..TURNS {
            let mut now = Affine { d, dmin, ..self.zero };
            let mut total = 0.0;
            // For the least squares: x ~ d a - dmin b.
            let (mut aa, mut ab, mut bb, mut ax, mut bx) = (0.0, 0.0, 0.0, 0.0, 0.0);
            for g in 0..groups {
                let group = Group::<S, N>::load(s, self.x, g, rms);
                let (error, scale, offset) = self.choose(s, &group, [d, dmin], fits[g]);
                total += error;
                (now.scale[g], now.offset[g]) = (scale as u8, offset as u8);
                let (inv, low, range) = (inverse(d * scale), -dmin * offset, [0.0, self.top]);
                group.store(s, inv, low, range, &mut now.q[16 * N * g..16 * N * (g + 1)]);
                let m = group.moments(s, inv, low, range, scale);
                (aa, ab, bb) = (aa + m.waa, ab + m.wa * offset, bb + m.w * offset * offset);
                (ax, bx) = (ax + m.wax, bx + m.wx * offset);
            }
            if total >= best {
                break;
            }
            (best, out) = (total, now);
            let det = aa * bb - ab * ab;
            let next = if det > 1e-6 * aa * bb {
                [(ax * bb - bx * ab) / det, ((ax * ab - bx * aa) / det).max(0.0)]
            } else {
                [if aa > 0.0 { ax / aa } else { 0.0 }, 0.0]
            };
            let next = [to_half(next[0]), to_half(next[1])];
            let usable = next[0] > 0.0 && next[0].is_finite() && next[1].is_finite();
            if turn + 1 == TURNS || next == [d, dmin] || !usable {
                break;
            }
            [d, dmin] = next;
        }
        out
    }
}

impl<const N: usize> Search<'_, N> {
    /// The best of the scales and offsets about those that the group alone would have: error, scale, offset.
    #[inline(always)]
    fn choose<S: Isa>(&self, s: S, group: &Group<S, N>, [d, dmin]: [f32; 2], fit: [f32; 2]) -> (f32, f32, f32) {
        let centre = [nearest(fit[0], d, self.most), nearest(-fit[1], dmin, self.most)];
        let mut best = (f32::INFINITY, 0.0, 0.0);
        for i in 0..9u8 {
            let (ds, dm) = (f32::from(i % 3) - 1.0, f32::from(i / 3) - 1.0);
            let (scale, offset) = (centre[0] + ds, centre[1] + dm);
            // Where there is no unit, its integer says nothing.
            let idle = (d == 0.0 && ds != 0.0) || (dmin == 0.0 && dm != 0.0);
            if idle || scale < 0.0 || scale > self.most || offset < 0.0 || offset > self.most {
                continue;
            }
            let error = group.error(s, d * scale, -dmin * offset, [0.0, self.top]);
            if error < best.0 {
                best = (error, scale, offset);
            }
        }
        best
    }
}

/// The integer `0..=most` whose multiple of `unit` is nearest to `v`.
#[inline(always)]
fn nearest(v: f32, unit: f32, most: f32) -> f32 {
    if unit > 0.0 { ((v / unit).clamp(0.0, most) + 0.5) as u32 as f32 } else { 0.0 }
}
