//! One column: a decode step; or a few columns, where their sums fit the registers.
//!
//! Bounded by the memory that the weights come from, so each byte is touched once: a sub-block of 32 weights x 16 rows
//! is decoded in registers and multiplied there and then. From the file's layout, a block of 16 rows is regrouped first:
//! into scratch, which stays in the nearest cache, or, where it is one sub-block, in registers.

use super::Rows;
use super::matrix::{Layout, Matrix};
use crate::format::{EvenRows, Form, Lanes, Quant, SUB, TILE_ROWS, TileRows, pack_block};
use crate::isa::{Isa, Kernel, Words, each, each_in};
use crate::op::quantize::ActBlock;
use crate::team::Crew;
use std::marker::PhantomData;
use std::sync::atomic::{Ordering, compiler_fence};

/// The largest packed block of one sub-block: of Q8_0.
const SMALL: usize = 34 * TILE_ROWS;

/// Multiplies tiles `range[0]..range[1]` with the columns `x` (`[N][cols / 32]`): one, or more where the instruction set
/// [takes several](crate::CpuIsa::takes_several).
pub(super) fn run<Q: Quant, const N: usize>(
    crew: &Crew<'_>,
    worker: usize,
    w: &Matrix<'_>,
    x: [&[ActBlock]; N],
    range: [usize; 2],
    out: Rows,
) {
    assert!(out.n == N);
    let page = crew.ahead().page;
    match w.layout() {
        Layout::Packed => {
            let ahead = if Q::IN_ORDER { crew.ahead().in_order } else { crew.ahead().scattered };
            run_kernel::<_, N>(crew, Packed::<Q, N> { w, x, range, out, ahead, page, format: PhantomData });
        }
        Layout::File => crew.with_scratch(worker, Q::PACKED, |block| {
            run_kernel::<_, N>(crew, InPlace::<Q, N> { w, x, range, out, block, page, format: PhantomData });
        }),
    }
}

fn run_kernel<K: Kernel<Out = ()>, const N: usize>(crew: &Crew<'_>, kernel: K) {
    match N {
        1 => crew.isa().run_products(kernel),
        _ => crew.isa().run_several(kernel).expect("an instruction set that takes several"),
    }
}

/// Packed tiles times the columns.
struct Packed<'a, Q, const N: usize> {
    w: &'a Matrix<'a>,
    x: [&'a [ActBlock]; N],
    range: [usize; 2],
    out: Rows,
    /// How far ahead of the weights in use the next are asked for, in bytes: into the nearest cache and into the second.
    ahead: [usize; 2],
    /// See [`page_ahead`].
    page: usize,
    format: PhantomData<Q>,
}

impl<Q: Quant, const N: usize> Kernel for Packed<'_, Q, N> {
    type Out = ();
    const BY_BYTES: bool = Q::BY_BYTES;
    #[inline(always)]
    fn call<S: Isa>(self, s: S) {
        let (blocks, subs) = (self.w.cols() / Q::BLOCK, Q::BLOCK / SUB);
        let bytes = blocks * Q::PACKED;
        let data = self.w.data();
        // What lies behind the last tile is most often this thread's next chunk.
        let last = data.len().saturating_sub(Q::PACKED);
        for tile in self.range[0]..self.range[1] {
            let from = tile * bytes;
            let mut acc = [s.f_splat(0.0); N];
            for b in 0..blocks {
                let at = from + b * Q::PACKED;
                let [near, far] = self.ahead.map(|d| data.as_ptr().wrapping_add((at + d).min(last)));
                let next = [near, far, page_ahead(far, self.page)];
                let mut x = self.x;
                each!(N, c => { x[c] = &self.x[c][b * subs..][..subs]; });
                acc = block_columns::<S, Q, true, N>(s, alone(&data[at..at + Q::PACKED]), x, acc, next);
            }
            each!(N, c => {
                let mut v = [0.0; TILE_ROWS];
                s.f_store(&mut v, acc[c]);
                self.out.store_tile(c, tile, &v);
            });
        }
    }
}

/// Where the page begins that lies `bytes` behind `next`, asked for once a block: its first line, so that the address is
/// translated before all the others of the page are asked for. Those that wait for a translation hold up everything behind
/// them, and where memory lies in small pages, or a hypervisor holds it in such, every 4 KiB has one.
#[inline(always)]
fn page_ahead(next: *const u8, bytes: usize) -> *const u8 {
    next.wrapping_add(bytes).map_addr(|a| a & !4095)
}

/// The same slice, by an address in a register of its own. The compiler would go on to address it by where the matrix is
/// and how far in, in instructions that are longer by a byte each: enough for a block of a thousand to run slower
/// (measured on a Zen 3: Q6_K by a tenth).
#[inline(always)]
#[cfg_attr(
    any(target_arch = "x86_64", target_arch = "aarch64"),
    expect(clippy::pointers_in_nomem_asm_block, reason = "nothing is read")
)]
fn alone(block: &[u8]) -> &[u8] {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    // SAFETY: no instructions, hence the same address.
    unsafe {
        let mut start = block.as_ptr();
        std::arch::asm!("/* {} */", inout(reg) start, options(pure, nomem, nostack, preserves_flags));
        std::slice::from_raw_parts(start, block.len())
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    block
}

/// Tiles in the file's layout times the columns.
struct InPlace<'a, Q, const N: usize> {
    w: &'a Matrix<'a>,
    x: [&'a [ActBlock]; N],
    range: [usize; 2],
    out: Rows,
    block: &'a mut [u8],
    /// See [`page_ahead`].
    page: usize,
    format: PhantomData<Q>,
}

impl<Q: Quant, const N: usize> Kernel for InPlace<'_, Q, N> {
    type Out = ();
    const BY_BYTES: bool = Q::BY_BYTES;
    #[inline(always)]
    fn call<S: Isa>(self, s: S) {
        const { assert!(Q::BLOCK > SUB || Q::PACKED <= SMALL) };
        let (rows, blocks, subs) = (self.w.rows(), self.w.cols() / Q::BLOCK, Q::BLOCK / SUB);
        let row = blocks * Q::BYTES;
        let data = self.w.data();
        let last = data.len().saturating_sub(Q::PACKED);
        for tile in self.range[0]..self.range[1] {
            // Where rows end within a tile, the lanes take the last sixteen of the matrix, and those that belong to the
            // tile before are dropped. With fewer in all, one at a time is in all lanes.
            let start = tile * TILE_ROWS;
            let first = start.min(rows.saturating_sub(TILE_ROWS));
            for turn in 0..if rows < TILE_ROWS { rows } else { 1 } {
                let mut lines = match rows < TILE_ROWS {
                    true => EvenRows::same(&data[turn * row..][..row]),
                    false => EvenRows::new(&data[first * row..][..TILE_ROWS * row]),
                };
                let mut acc = [s.f_splat(0.0); N];
                for b in 0..blocks {
                    let mut x = self.x;
                    each!(N, c => { x[c] = &self.x[c][b * subs..][..subs]; });
                    // The rows of the next tile lie behind those of this one.
                    let next = ((tile + 1) * TILE_ROWS * row + b * Q::PACKED).min(last);
                    let next = data.as_ptr().wrapping_add(next);
                    let next = [next, next, page_ahead(next, self.page)];
                    // The next block comes before the product with this one: whether there are bytes for it is a branch, and
                    // behind a branch the compiler puts all that only its end needs, here the arithmetic of the block.
                    let here = lines;
                    lines = lines.skip(Q::BYTES);
                    if Q::BLOCK == SUB {
                        // A block of one sub-block passes from packing to the product in registers.
                        let mut block = [0; SMALL];
                        let block = &mut block[..Q::PACKED];
                        pack_block::<S, Q>(s, here, block);
                        acc = block_columns::<S, Q, false, N>(s, block, x, acc, next);
                    } else {
                        pack_block::<S, Q>(s, here, self.block);
                        acc = block_columns::<S, Q, false, N>(s, self.block, x, acc, next);
                    }
                }
                each!(N, c => {
                    let mut v = [0.0; TILE_ROWS];
                    s.f_store(&mut v, acc[c]);
                    if rows < TILE_ROWS {
                        self.out.store(c, turn, &v[..1]);
                    } else if first < start {
                        self.out.store(c, start, &v[start - first..]);
                    } else {
                        self.out.store_tile(c, tile, &v);
                    }
                });
            }
        }
    }
}

/// `acc` and one packed block times `x`, its sub-blocks' activations of each column. On the way, as many bytes as a block has
/// are asked for from `next` on: into the nearest cache with `NEAR`, and into the second. Spread over the block, because a
/// burst of requests finds no room and waits. And the one line `next[2]`.
#[inline(always)]
fn block_columns<S: Isa, Q: Quant, const NEAR: bool, const N: usize>(
    s: S,
    block: &[u8],
    x: [&[ActBlock]; N],
    mut acc: [S::F; N],
    next: [*const u8; 3],
) -> [S::F; N] {
    let subs = Q::BLOCK / SUB;
    let head = Q::head(s, block);
    let mut state = [s.i_splat(0); 8];
    s.prefetch_far(next[2]);
    each_in!(S, subs, i => {
        // Else the compiler reads a whole block ahead of its first product: earlier than it was asked for, and with more
        // registers than there are (measured: 13 % for Q6_K, with AVX2 from the file a third). Not for a block of one
        // sub-block from the file, which comes here in registers.
        if subs > 1 && !Q::MIXED {
            acc[0] = s.seam(acc[0]);
        } else if NEAR && !Q::MIXED {
            compiler_fence(Ordering::SeqCst);
        }
        let (line, end) = ((Q::PACKED * i / subs).div_ceil(64), (Q::PACKED * (i + 1) / subs).div_ceil(64));
        for k in 0..end - line {
            if NEAR {
                s.prefetch(next[0].wrapping_add((line + k) * 64));
            }
            s.prefetch_far(next[1].wrapping_add((line + k) * 64));
        }
        let lanes = Q::sub_with(s, &head, block, i);
        if N == 1 && Q::RUNNING && S::RUNNING {
            let sum = Q::running_sum(s, &mut state, block, i, &x[0][i]);
            acc[0] = add_sub_block::<S, Q>(s, &lanes, s.i_to_f(sum), &x[0][i], acc[0]);
        } else if N == 1 && Q::WORDS && S::UNROLL {
            let all = Alone::<Q> { block, i, first: 0, format: PhantomData };
            let rest = Alone::<Q> { first: 4, ..all };
            let sum = isum::<S, Q::Form>(s, &all, &rest, lanes.half, &x[0][i]);
            acc[0] = add_sub_block::<S, Q>(s, &lanes, sum, &x[0][i], acc[0]);
        } else {
            // The weights of several columns are decoded once.
            let mut w = lanes.w;
            if Q::Form::BITS == 8 {
                each!(8, g => { w[g] = s.i_signed(w[g]); });
            }
            each!(N, c => {
                let sum = isum::<S, Q::Form>(s, &w, &[w[4], w[5], w[6], w[7]], lanes.half, &x[c][i]);
                acc[c] = add_sub_block::<S, Q>(s, &lanes, sum, &x[c][i], acc[c]);
            });
        }
    });
    acc
}

/// `acc` and a sub-block whose integer sum with `x` is `sum`.
#[inline(always)]
fn add_sub_block<S: Isa, Q: Quant>(s: S, lanes: &Lanes<S>, sum: S::F, x: &ActBlock, mut acc: S::F) -> S::F {
    let d = s.f_splat(x.d);
    acc = s.f_fma(s.f_mul(lanes.scale, d), sum, acc);
    if Q::Form::OFFSET {
        let [low, high] = lanes.offset_half;
        let sum = offset_sum::<S, Q::Form>(s, [s.f_sub(low, high), high], x);
        acc = s.f_fma(s.f_mul(lanes.offset, d), sum, acc);
    }
    acc
}

/// The words of sub-block `i` from `first` on, one by one.
struct Alone<'a, Q> {
    block: &'a [u8],
    i: usize,
    first: usize,
    format: PhantomData<Q>,
}

impl<S: Isa, Q: Quant> Words<S> for Alone<'_, Q> {
    #[inline(always)]
    fn word(&self, s: S, g: usize) -> S::I {
        let w = Q::word(s, self.block, self.i, self.first + g);
        if Q::Form::BITS == 8 { s.i_signed(w) } else { w }
    }
}

/// The integer sum of a sub-block as f32, which is exact. `rest` are words 4 to 8 of `all`.
#[inline(always)]
fn isum<S: Isa, F: Form>(s: S, all: &impl Words<S>, rest: &impl Words<S>, factor: [S::F; 2], x: &ActBlock) -> S::F {
    let q = &x.q;
    if F::HALVES {
        let lo = dot::<S, F, 4>(s, all, &[q[0], q[1], q[2], q[3]], x.start_half::<S, F>(s, 0));
        let hi = dot::<S, F, 4>(s, rest, &[q[4], q[5], q[6], q[7]], x.start_half::<S, F>(s, 1));
        return s.f_fma(s.i_to_f(hi), factor[1], s.f_mul(s.i_to_f(lo), factor[0]));
    }
    s.i_to_f(dot::<S, F, 8>(s, all, q, x.start::<S, F>(s)))
}

/// [`Isa::dot`] for weights as wide as the form says.
#[inline(always)]
fn dot<S: Isa, F: Form, const N: usize>(s: S, w: &impl Words<S>, x: &[[i8; 4]; N], init: S::I) -> S::I {
    match F::BITS {
        0..=4 => s.dot::<4, N>(w, x, init),
        5 => s.dot::<5, N>(w, x, init),
        6 => s.dot::<6, N>(w, x, init),
        7 => s.dot::<7, N>(w, x, init),
        _ => s.dot::<8, N>(w, x, init),
    }
}

/// What the offset of a sub-block is multiplied with: the sum of the activations, each half times its factor where
/// halves have one. `factor` is what the first factor is more than the second, and the second. Exact: small integers.
#[inline(always)]
pub(super) fn offset_sum<S: Isa, F: Form>(s: S, factor: [S::F; 2], x: &ActBlock) -> S::F {
    let sum = s.f_splat(x.sum);
    if F::OFFSET_HALVES { s.f_fma(factor[0], s.f_splat(x.first), s.f_mul(factor[1], sum)) } else { sum }
}
