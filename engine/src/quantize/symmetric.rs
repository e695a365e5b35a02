//! Blocks of 256 weights in groups of 16, each with a signed integer scale: `weight = d scale[g] q`.
//!
//! As in `affine`: each group by itself, `d` from the largest scale, then in turns the integers and `d`.

use super::search::{BLOCK, Group, TINY, inverse, rms};
use super::to_half;
use hewn_kernels::CpuIsa;
use hewn_kernels::isa::{Isa, Kernel};

const GROUPS: usize = BLOCK / 16;
const TURNS: usize = 4;

/// An encoded block.
#[derive(Clone, Copy)]
pub(super) struct Symmetric {
    pub d: f32,
    pub scale: [i8; GROUPS],
    pub q: [i8; BLOCK],
}

/// Encodes a block with integers in `-half..half` and scales in `-reach..reach`.
pub(super) fn encode(isa: CpuIsa, x: &[f32], half: u8, reach: u8) -> Symmetric {
    let zero = Symmetric { d: 0.0, scale: [0; GROUPS], q: [0; BLOCK] };
    match x.first_chunk::<BLOCK>().filter(|x| super::peak(&x[..]).abs() >= TINY) {
        Some(x) => isa.run_lanes(Search { x, half: half.into(), reach: reach.into(), zero }),
        None => zero,
    }
}

struct Search<'a> {
    x: &'a [f32; BLOCK],
    half: f32,
    reach: f32,
    zero: Symmetric,
}

impl Kernel for Search<'_> {
    type Out = Symmetric;

    #[inline(always)]
    fn call<S: Isa>(self, s: S) -> Symmetric {
        let rms = rms(s, self.x);
        let range = [-self.half, self.half - 1.0];
        let mut fits = [0.0f32; GROUPS];
        let mut largest = 0.0f32;
        for g in 0..GROUPS {
            fits[g] = Group::<S, 1>::load(s, self.x, g, rms).symmetric(s, self.half);
            if fits[g].abs() > largest.abs() {
                largest = fits[g];
            }
        }
        // The largest scale takes the end that reaches further.
        let mut d = to_half(largest / -self.reach);
        let (mut best, mut out) = (f32::INFINITY, self.zero);
        for turn in 0..TURNS {
            let mut now = Symmetric { d, ..self.zero };
            let (mut total, mut aa, mut ax) = (0.0, 0.0, 0.0);
            for g in 0..GROUPS {
                let group = Group::<S, 1>::load(s, self.x, g, rms);
                let (error, scale) = self.choose(s, &group, d, fits[g]);
                total += error;
                now.scale[g] = scale as i8;
                let inv = inverse(d * scale);
                group.store(s, inv, 0.0, range, &mut now.q[16 * g..16 * (g + 1)]);
                let m = group.moments(s, inv, 0.0, range, scale);
                (aa, ax) = (aa + m.waa, ax + m.wax);
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
}

impl Search<'_> {
    /// The best of the scales about the one that the group alone would have: error, scale.
    #[inline(always)]
    fn choose<S: Isa>(&self, s: S, group: &Group<S, 1>, d: f32, fit: f32) -> (f32, f32) {
        let centre = if d == 0.0 { 0.0 } else { floor((fit / d).clamp(-self.reach, self.reach - 1.0) + 0.5) };
        let mut best = (f32::INFINITY, 0.0);
        for i in 0..5u8 {
            let by = f32::from(i) - 2.0;
            let scale = centre + by;
            if (d == 0.0 && by != 0.0) || scale < -self.reach || scale > self.reach - 1.0 {
                continue;
            }
            let error = group.error(s, d * scale, 0.0, [-self.half, self.half - 1.0]);
            if error < best.0 {
                best = (error, scale);
            }
        }
        best
    }
}

/// For magnitudes within an i32.
#[inline(always)]
fn floor(v: f32) -> f32 {
    let cut = v as i32 as f32;
    if cut > v { cut - 1.0 } else { cut }
}
