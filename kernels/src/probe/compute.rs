//! Arithmetic: the rate of the instructions that the kernels spend their time in, on operands that are in registers or
//! in the nearest cache, in more independent chains than the units are deep.

use super::{best_rate, together};
use crate::isa::{CpuIsa, Isa, Kernel};
use crate::team::{Team, TeamError};
use std::hint::black_box;
use std::time::Duration;

/// Which kind of weights the 8-bit products take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DotKind {
    /// Unsigned weights of up to four bits: where there is no VNNI, eight products fit an i16 before it must be widened.
    Narrow,
    /// Signed weights of eight bits, as in Q8_0.
    Signed,
}

/// Columns of activations to go through; they stay in the nearest cache.
const COLUMNS: usize = 48;

/// What the 8-bit loops work on.
#[derive(Clone, Copy)]
struct Operands<'a> {
    w: &'a [[u8; 64]; 8],
    x: &'a [[[i8; 4]; 8]; COLUMNS],
    turns: u64,
}

/// A tile of a matrix product: eight weight registers meet `CHAINS` columns whose activations come from the cache.
struct Tile<'a, const BITS: u32, const CHAINS: usize>(Operands<'a>);

impl<const BITS: u32, const CHAINS: usize> Kernel for Tile<'_, BITS, CHAINS> {
    type Out = i32;

    #[inline(always)]
    fn call<S: Isa>(self, s: S) -> i32 {
        let Operands { w, x, turns } = self.0;
        let w = registers(s, w, BITS);
        let mut acc = [s.i_splat(0); CHAINS];
        for _ in 0..turns {
            for columns in x.as_chunks::<CHAINS>().0 {
                for a in 0..CHAINS {
                    acc[a] = s.dot::<BITS, 8>(&w, &columns[a], acc[a]);
                }
            }
        }
        total(s, &acc)
    }
}

/// As few loads as can be: one register of activations at a time meets all of `CHAINS` accumulators.
struct Registers<'a, const BITS: u32, const CHAINS: usize>(Operands<'a>);

impl<const BITS: u32, const CHAINS: usize> Kernel for Registers<'_, BITS, CHAINS> {
    type Out = i32;

    #[inline(always)]
    fn call<S: Isa>(self, s: S) -> i32 {
        let Operands { w, x, turns } = self.0;
        let w = registers(s, w, BITS);
        let mut acc = [s.i_splat(0); CHAINS];
        for _ in 0..turns {
            for column in x {
                for a in 0..CHAINS {
                    acc[a] = s.dot::<BITS, 1>(&[w[a % 8]], &[column[0]], acc[a]);
                }
            }
        }
        total(s, &acc)
    }
}

#[inline(always)]
fn registers<S: Isa>(s: S, w: &[[u8; 64]; 8], bits: u32) -> [S::I; 8] {
    let mut all = [s.i_splat(0); 8];
    for g in 0..8 {
        all[g] = s.i_load(&w[g]);
        if bits == 8 {
            all[g] = s.i_signed(all[g]);
        }
    }
    all
}

#[inline(always)]
fn total<S: Isa, const N: usize>(s: S, acc: &[S::I; N]) -> i32 {
    let mut sum = acc[0];
    for a in 1..N {
        sum = s.i_add(sum, acc[a]);
    }
    s.i_sum(sum)
}

/// The matrix unit, where there is one, on the shapes that the kernels use: 16 columns, a tile, 32 weights; four of them a turn.
struct Tiles(u64);

/// Multiply-adds of one turn of [`Tiles`].
const TILE_PRODUCTS: usize = 32 * 32 * 32;

impl Kernel for Tiles {
    type Out = bool;

    #[inline(always)]
    fn call<S: Isa>(self, s: S) -> bool {
        if S::TILES {
            // SAFETY: there is a matrix unit; it is open while its registers are used, in the shapes that they have.
            unsafe {
                s.tiles_open(16, 8);
                for _ in 0..self.0 {
                    #[cfg(target_arch = "x86_64")]
                    std::arch::asm!(
                        "tdpbssd tmm0, tmm4, tmm6",
                        "tdpbssd tmm1, tmm4, tmm7",
                        "tdpbssd tmm2, tmm5, tmm6",
                        "tdpbssd tmm3, tmm5, tmm7",
                        options(nostack, nomem)
                    );
                }
                s.tiles_close();
            }
        }
        S::TILES
    }
}

/// Products of pairs, where there are such, on the shape that the kernels use: eight rows, eight columns, 32 weights.
struct Pairs<'a>(Operands<'a>);

/// Multiply-adds of one turn of [`Pairs`].
const PAIR_PRODUCTS: usize = COLUMNS / 8 * 8 * 8 * 32;

impl Kernel for Pairs<'_> {
    type Out = i32;

    #[inline(always)]
    fn call<S: Isa>(self, s: S) -> i32 {
        assert!(S::PAIRS);
        let Operands { w, x, turns } = self.0;
        let mut acc = [s.i_splat(0); 4];
        for _ in 0..turns {
            for columns in bytemuck::cast_slice::<_, [[u8; 64]; 4]>(x) {
                let sums = s.pairs_sums::<0, 4>(w, 0, columns);
                for a in 0..4 {
                    acc[a] = s.i_add(acc[a], sums[a]);
                }
            }
        }
        total(s, &acc)
    }
}

/// Whether [`Pairs`] runs.
struct HasPairs;

impl Kernel for HasPairs {
    type Out = bool;

    #[inline(always)]
    fn call<S: Isa>(self, _: S) -> bool {
        S::PAIRS
    }
}

/// A loop of so many turns, and the operations of a turn.
type Loop = (fn(CpuIsa, u64), usize);

/// Calls back with operands that the compiler knows nothing about.
fn with_operands(turns: u64, f: impl FnOnce(Operands<'_>) -> i32) {
    // Bytes that every kind of weight may have; the time does not depend on them.
    let (w, x) = ([[3; 64]; 8], [[[5; 4]; 8]; COLUMNS]);
    black_box(f(Operands { w: black_box(&w), x: black_box(&x), turns: black_box(turns) }));
}

fn tile<const BITS: u32, const CHAINS: usize>() -> Loop {
    (
        |isa, turns| with_operands(turns, |o| isa.run_products(Tile::<BITS, CHAINS>(o))),
        COLUMNS / CHAINS * CHAINS * 8 * 64 * 2,
    )
}

fn in_registers<const BITS: u32, const CHAINS: usize>() -> Loop {
    (|isa, turns| with_operands(turns, |o| isa.run_products(Registers::<BITS, CHAINS>(o))), COLUMNS * CHAINS * 64 * 2)
}

/// 8-bit operations per second of all threads of the team (a multiply-add counts as two): the best of `passes` of
/// about `time` each, over loops that suit machines with many registers or few.
///
/// # Errors
/// A thread of the team panicked.
pub fn dot_rate(team: &Team, kind: DotKind, time: Duration, passes: usize) -> Result<f64, TeamError> {
    let loops: [Loop; 3] = match kind {
        DotKind::Narrow => [tile::<4, 8>(), in_registers::<4, 6>(), in_registers::<4, 16>()],
        DotKind::Signed => [tile::<8, 8>(), in_registers::<8, 6>(), in_registers::<8, 16>()],
    };
    let mut best = fastest(team, &loops, time, passes)?;
    if team.isa().run(HasPairs) {
        let pairs: Loop = (|isa, turns| with_operands(turns, |o| isa.run(Pairs(o))), PAIR_PRODUCTS * 2);
        best = best.max(fastest(team, &[pairs], time, passes)?);
    }
    if !team.isa().run(Tiles(0)) {
        return Ok(best);
    }
    let unit: Loop = (|isa, turns| _ = isa.run(Tiles(turns)), TILE_PRODUCTS * 2);
    Ok(best.max(fastest(team, &[unit], time, passes)?))
}

/// Multiply-adds of f32 in `CHAINS` accumulators.
struct Fmas<'a, const CHAINS: usize> {
    start: &'a [[f32; 16]; CHAINS],
    turns: u64,
}

/// Multiply-adds of a chain in one turn.
const STEPS: usize = 64;

impl<const CHAINS: usize> Kernel for Fmas<'_, CHAINS> {
    type Out = f32;

    #[inline(always)]
    fn call<S: Isa>(self, s: S) -> f32 {
        let mut acc = [s.f_splat(0.0); CHAINS];
        for a in 0..CHAINS {
            acc[a] = s.f_load(&self.start[a]);
        }
        let (x, y) = (acc[0], acc[1]);
        for _ in 0..self.turns {
            for _ in 0..STEPS {
                for a in 0..CHAINS {
                    acc[a] = s.f_fma(x, y, acc[a]);
                }
            }
        }
        let mut sum = acc[0];
        for a in 1..CHAINS {
            sum = s.f_add(sum, acc[a]);
        }
        s.f_sum(sum)
    }
}

fn fmas<const CHAINS: usize>() -> Loop {
    let run = |isa: CpuIsa, turns| {
        let start = [[0.5; 16]; CHAINS];
        black_box(isa.run_lanes(Fmas::<CHAINS> { start: black_box(&start), turns: black_box(turns) }));
    };
    (run, STEPS * CHAINS * 16 * 2)
}

/// f32 operations per second of all threads of the team (a fused multiply-add counts as two), measured like
/// [`dot_rate`].
///
/// # Errors
/// A thread of the team panicked.
pub fn fma_rate(team: &Team, time: Duration, passes: usize) -> Result<f64, TeamError> {
    fastest(team, &[fmas::<6>(), fmas::<12>()], time, passes)
}

fn fastest(team: &Team, loops: &[Loop], time: Duration, passes: usize) -> Result<f64, TeamError> {
    let mut best = 0.0f64;
    for (run, ops) in loops {
        let rate = best_rate(passes, time, |turns| {
            let spent = together(team, &|_| run(team.isa(), turns))?;
            Ok((spent, (team.threads() * ops) as f64 * turns as f64))
        })?;
        best = best.max(rate);
    }
    Ok(best)
}
