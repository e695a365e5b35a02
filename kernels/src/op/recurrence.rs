//! What rules over the matrices of a running state share: how heads are dealt out to threads, and in which order.
//!
//! A head's matrix is worked on in groups of 16 value channels, which have nothing to do with each other: 128 keys times 16
//! channels stay in the nearest cache while all rows of a step go by.

use crate::isa::{CpuIsa, Isa, Kernel};
use crate::state::{LANES, StateRows, StateShape};
use crate::team::Crew;

/// Groups that a thread takes at a time: of few rows half a head of 128 channels, else all of it.
const UNIT: [usize; 2] = [4, 8];
/// Rows that are worked on by all groups of a unit before the next ones.
pub(super) const BLOCK: usize = 64;
/// How many rows ahead queries, keys and values are asked for: a row of the same head is on another page.
pub(super) const AHEAD: usize = 3;

/// The matrices of a layer, `[heads, groups, k_dim, 16]`, value channels in lanes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Matrices {
    pub heads: usize,
    /// Channels of a key.
    pub k_dim: usize,
    /// Channels of a value.
    pub v_dim: usize,
}

impl Matrices {
    /// Groups of lanes in a head.
    pub fn groups(&self) -> usize {
        self.v_dim.div_ceil(LANES)
    }

    /// Channels of all values, every head rounded up to whole lanes.
    pub fn padded_width(&self) -> usize {
        self.heads * self.groups() * LANES
    }

    /// A state with such matrices, and `taps - 1` rows of `channels`.
    pub fn state(&self, taps: usize, channels: usize) -> StateShape {
        StateShape { taps, channels, matrices: self.padded_width().saturating_mul(self.k_dim) }
    }

    /// The row `r` of `rows` that a rule wrote to `from` (`[rows * padded_width]`), to `to` (`[heads * v_dim]`).
    ///
    /// # Panics
    /// When the lengths are others.
    pub fn gather(&self, from: &[f32], rows: usize, r: usize, to: &mut [f32]) {
        assert_eq!((from.len(), to.len()), (rows * self.padded_width(), self.heads * self.v_dim));
        for (head, out) in to.chunks_exact_mut(self.v_dim).enumerate() {
            for (group, out) in out.chunks_mut(LANES).enumerate() {
                let at = ((head * self.groups() + group) * rows + r) * LANES;
                out.copy_from_slice(&from[at..][..out.len()]);
            }
        }
    }
}

/// Where work begins.
#[derive(Clone, Copy)]
pub(super) struct At {
    pub head: usize,
    /// The group within the head.
    pub group: usize,
    /// The row within the step.
    pub row: usize,
}

/// What is done with a matrix, row by row.
pub(super) trait Rule: Copy + Sync {
    /// `G` groups of a head side by side, whose matrices are `[k_dim, 16]` and outputs `[rows, 16]`. An implementation is
    /// `inline(always)`, as all that runs within an ISA's frame.
    fn groups<S: Isa, const G: usize>(
        self,
        s: S,
        matrices: [&mut [[f32; LANES]]; G],
        out: [&mut [[f32; LANES]]; G],
        at: At,
    );
}

/// One or two groups of a head.
struct Pair<'a, R> {
    rule: R,
    k_dim: usize,
    matrices: &'a mut [[f32; LANES]],
    out: [&'a mut [[f32; LANES]]; 2],
    at: At,
}

impl<R: Rule> Kernel for Pair<'_, R> {
    type Out = ();

    #[inline(always)]
    fn call<S: Isa>(self, s: S) {
        let Self { rule, k_dim, matrices, out: [o0, o1], at } = self;
        let (m0, m1) = matrices.split_at_mut(k_dim);
        // Where there are registers for two, each key and query is loaded for both.
        if S::MANY && !m1.is_empty() {
            return rule.groups(s, [m0, m1], [o0, o1], at);
        }
        rule.groups(s, [m0], [o0], at);
        if !m1.is_empty() {
            rule.groups(s, [m1], [o1], At { group: at.group + 1, ..at });
        }
    }
}

/// A unit of work: a few groups of a head, all rows of one sequence.
struct Unit<'a> {
    /// `[groups, k_dim, 16]`
    matrices: &'a mut [[f32; LANES]],
    /// `[groups, rows, 16]`
    out: &'a mut [[f32; LANES]],
    at: At,
    rows: usize,
}

/// Applies a rule to the rows of all `parts`, one after the other within each. Each part's `out` (`[rows * padded_width]`) is
/// for [`Matrices::gather`].
pub(super) fn apply<R: Rule>(
    crew: &Crew<'_>,
    matrices: &Matrices,
    parts: &mut [StateRows<'_>],
    rule: R,
    out: &mut [f32],
) {
    let (heads, k_dim, groups) = (matrices.heads, matrices.k_dim, matrices.groups());
    let mut units = Vec::with_capacity(parts.len() * heads * groups.div_ceil(UNIT[0]));
    let (mut rest, mut row) = (out.as_chunks_mut().0, 0);
    for p in parts.iter_mut().filter(|p| p.rows > 0) {
        let (own, later) = rest.split_at_mut(p.rows * heads * groups);
        let heads = p.state.matrices().chunks_mut(groups * k_dim).zip(own.chunks_mut(groups * p.rows));
        for (head, (matrices, out)) in heads.enumerate() {
            let most = UNIT[usize::from(p.rows >= BLOCK)];
            let cut = matrices.chunks_mut(most * k_dim).zip(out.chunks_mut(most * p.rows));
            let unit =
                |(i, (matrices, out))| Unit { matrices, out, at: At { head, group: i * most, row }, rows: p.rows };
            units.extend(cut.enumerate().map(unit));
        }
        (rest, row) = (later, row + p.rows);
    }
    let isa = crew.isa();
    crew.rows(&mut units, 1, true, |_, _, units| units.iter_mut().for_each(|u| run(isa, rule, k_dim, u)));
}

/// Two groups at a time; of many rows, some after the other: their queries, keys and values are then still near for the
/// next two groups.
fn run<R: Rule>(isa: CpuIsa, rule: R, k_dim: usize, u: &mut Unit<'_>) {
    for from in (0..u.rows).step_by(BLOCK) {
        let rows = from..u.rows.min(from + BLOCK);
        let pairs = u.matrices.chunks_mut(2 * k_dim).zip(u.out.chunks_mut(2 * u.rows));
        for (i, (matrices, out)) in pairs.enumerate() {
            let (o0, o1) = out.split_at_mut(u.rows);
            let out = [&mut o0[rows.clone()], if o1.is_empty() { o1 } else { &mut o1[rows.clone()] }];
            let at = At { group: u.at.group + 2 * i, row: u.at.row + from, ..u.at };
            isa.run_lanes(Pair { rule, k_dim, matrices, out, at });
        }
    }
}
