//! Instruction sets behind one vocabulary of 16-lane operations.
//!
//! Every kernel in this crate is written once, generic over [`Isa`], in terms of *sixteen virtual lanes*: a register
//! `I` is 16 x i32 (seen as 64 bytes when it holds quantized weights) and `F` is 16 x f32, on every machine. How many
//! hardware registers that takes (one with AVX-512, two with AVX2, sixteen scalars in portable code) is the ISA
//! file's business, so neither a weight format nor an operation ever sees a vector width. That is what makes the
//! result the same to the last bit everywhere: lane `j` does the same IEEE operations in the same order.
//!
//! ```text
//! op/matmul.rs   fn call<S: Isa>(self, s: S)      written once
//!       |
//! isa.run(kernel)                                 one #[target_feature] frame an ISA (x86.rs)
//!       |
//! isa/avx2.rs      fn dot(self, w, x, init)       #[inline(always)], compiled inside the frame
//! isa/lanes256.rs  fn f_fma(self, a, b, c)        the same, for every ISA with registers of 256 bits
//! ```
//!
//! Safe trait methods cannot carry `#[target_feature]`, so the methods are `inline(always)` and become vector code
//! only inside the frame that [`Isa::run`] opens; a value of an ISA type is the proof that the CPU has the features.
//! Work handed to another thread must enter the frame again.

/// Unrolls a loop of at most eight turns: `each!(N, i => { .. })` is the block for `i = 0, 1, .. N - 1`, each with a
/// literal index. Registers in arrays stay registers only when every index is a constant, and the compiler gives up
/// unrolling a plain loop when the body is large.
macro_rules! each {
    ($n:expr, $i:ident => $body:block) => {
        $crate::isa::each!(@ $n, $i, $body, 0 1 2 3 4 5 6 7)
    };
    (@ $n:expr, $i:ident, $body:block, $($k:literal)*) => {
        $(if $k < $n {
            #[allow(unused_variables)]
            let $i: usize = $k;
            $body
        })*
    };
}
pub(crate) use each;

/// [`each`] where the instruction set has registers to keep, else a loop: unrolled portable code is a quarter of all code
/// and no faster.
macro_rules! each_in {
    ($s:ty, $n:expr, $i:ident => $body:block) => {
        if <$s>::UNROLL {
            $crate::isa::each!($n, $i => $body);
        } else {
            for $i in 0..$n $body
        }
    };
}
pub(crate) use each_in;

/// [`each`] with sixteen turns: one a row of a tile.
macro_rules! each16 {
    ($i:ident => $body:block) => {
        each16!(@ $i, $body, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)
    };
    (@ $i:ident, $body:block, $($k:literal)*) => {
        $({
            let $i: usize = $k;
            $body
        })*
    };
}
pub(crate) use each16;

/// How far ahead of what is in use a stream of it is asked for, in bytes; of weights into the nearest cache, which can only
/// wait for a few lines at once, and into the second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadAhead {
    /// Where a block is read from its first byte to its last.
    pub in_order: [usize; 2],
    /// Where sub-blocks need bytes from several places of it.
    pub scattered: [usize; 2],
    /// How much further ahead the page of weights is asked for, so that its address is translated by then; with 0 it is a
    /// page that is in use already.
    pub page: usize,
    /// Keys and values, into the second cache.
    pub context: usize,
}

/// Both are the same on AMD's CPUs (Zen 3: products read up to 18 % faster than with the distances that suit a Xeon, Q6_K
/// the same). With registers of 512 bits (Zen 4) the CPU is best left to itself where it can see what comes: asking 256
/// bytes ahead instead of 3072 reads 10 to 30 % faster with one thread and 0 to 5 % with two, whom memory limits there.
/// Blocks read out of order need far requests: many loads at once leave no room for those that wait for memory (Q6_K 1.5
/// to 2.1 times as fast, Q3_K 1.2 to 1.3, Q2_K and Q5_K 1.1 to 1.2 times).
///
/// A Xeon with the matrix unit (Sapphire Rapids) reads best with both distances, one without (Cascade Lake) with one that is
/// the same for both caches: 2 to 4 % faster with one thread and with two (Q4_0, Q8_0, Q4_K, Q6_K); 6144 or 8192 for the
/// second are up to 3 % slower than 4096 there, 512 and 1024 for both 2 to 8.
///
/// One of the newer kind (Emerald Rapids, told by AVX-VNNI), whose matrix unit the hypervisor hides, with two distances again,
/// the second as far as 8192: with one thread 6 to 13 % faster than with 3584 for both, with two 6 to 14 (Q4_0, Q4_K, Q6_K,
/// Q8_0; medians of five in turns). 2048 and 4096 are 0 to 7 % behind that, 3584 and 7168 or 4096 and 10240 the same, 256 bytes up
/// to a fifth slower than 3584.
///
/// A page's translation 8 KiB before its lines are asked for: on that Cascade Lake, whose memory a hypervisor most
/// likely holds in small pages, reads are 6 to 8 % faster packed and 3 to 8 % from the GGUF with one thread (Q4_0,
/// Q4_K), with two 4 to 6 and 5 to 10; 4, 12, 16 and 32 KiB alike. Elsewhere it was not measured, and on AMD's CPUs,
/// which are best asked for little, it is not done.
///
/// Keys and values of 32 KiB a tile and head: on a Xeon 8 KiB and half as much are alike, and 6 % faster than a tile; on a
/// Zen 4 16 KiB are 5 to 8 % faster than 8, and 24 or 32 the same.
pub(crate) fn read_ahead(kind: IsaKind) -> ReadAhead {
    #[cfg(target_arch = "x86_64")]
    if x86::is_amd() {
        let (page, context) = (0, 16 << 10);
        return match kind {
            IsaKind::Avx512 | IsaKind::Avx512Vnni => {
                ReadAhead { in_order: [256; 2], scattered: [1024, 6144], page, context }
            }
            _ => ReadAhead { in_order: [3072; 2], scattered: [3072; 2], page, context },
        };
    }
    let (page, context) = (8 << 10, 8 << 10);
    #[cfg(target_arch = "x86_64")]
    if kind != IsaKind::Amx && is_x86_feature_detected!("avxvnni") {
        return ReadAhead { in_order: [4096, 8192], scattered: [4096, 8192], page, context };
    }
    if kind == IsaKind::Amx {
        return ReadAhead { in_order: [2048, 4096], scattered: [2048, 4096], page, context };
    }
    ReadAhead { in_order: [3584; 2], scattered: [3584; 2], page, context }
}

/// Asks for the cache line at an address, on any CPU and outside of any frame; any address will do, nothing is read.
#[inline(always)]
pub(crate) fn prefetch(p: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: part of the baseline of this architecture; a hint, which faults at no address.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T1 }>(p.cast());
    }
    #[cfg(target_arch = "aarch64")]
    lanes128::prefetch::<false>(p);
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = p;
}

/// The same for a line that will be written: other cores give it up.
#[inline(always)]
pub(crate) fn prefetch_write(p: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: as above; a CPU without this instruction takes it for none.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_ET0 }>(p.cast());
    }
    #[cfg(target_arch = "aarch64")]
    lanes128::prefetch_write(p);
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = p;
}

mod book;
mod detect;
pub mod scalar;

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "aarch64")]
mod lanes128;
#[cfg(target_arch = "aarch64")]
pub mod neon;
#[cfg(target_arch = "aarch64")]
pub mod neon_dotprod;
#[cfg(target_arch = "aarch64")]
pub mod neon_i8mm;
#[cfg(target_arch = "aarch64")]
mod sdot;

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
pub mod avx2;
#[cfg(target_arch = "x86_64")]
pub mod avx512;
#[cfg(target_arch = "x86_64")]
pub mod avx512vnni;
#[cfg(target_arch = "x86_64")]
pub mod avxvnni;
#[cfg(target_arch = "x86_64")]
mod lanes256;
#[cfg(target_arch = "x86_64")]
mod lanes512;
#[cfg(target_arch = "x86_64")]
mod vbmi;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use book::Book;
pub use detect::{CpuIsa, IsaError, IsaKind};

use crate::op::quantize::ActBlock;
use std::sync::atomic::{Ordering, compiler_fence};

/// A computation that can run on any instruction set.
pub trait Kernel {
    /// What the computation returns.
    type Out;
    /// Whether it is another one where [`Isa::FINDS_BYTES`] holds.
    const BY_BYTES: bool = false;
    /// Does the work; implementations are `#[inline(always)]`, as is everything hot that they call.
    fn call<S: Isa>(self, s: S) -> Self::Out;
}

/// Words of weights, each made when it is asked for: with few registers, a kernel that has all of them first keeps them
/// in memory (measured on a Zen 3: Q5_K took a seventh longer).
pub trait Words<S: Isa> {
    /// Word `g`: four weights of each row.
    fn word(&self, s: S, g: usize) -> S::I;
}

impl<S: Isa, const N: usize> Words<S> for [S::I; N] {
    #[inline(always)]
    fn word(&self, _: S, g: usize) -> S::I {
        self[g]
    }
}

/// Sixteen virtual lanes on one instruction set.
///
/// A value of an implementing type may exist only on a CPU that has every feature its [`run`](Isa::run) frame
/// enables; each implementation keeps its field private and offers a checked constructor.
pub trait Isa: Copy + Send + Sync + 'static {
    /// 16 x i32; also 64 bytes: byte `4 j + t` is weight `t` of row `j`.
    type I: Copy;
    /// 16 x f32.
    type F: Copy;

    /// Whether 32 registers `F` can be held at a time; otherwise about eight.
    const MANY: bool;

    /// What [`i_signed`](Isa::i_signed) adds to each signed weight; the caller starts the sum at
    /// `-SIGNED_ZERO * sum(x)`.
    const SIGNED_ZERO: i32;
    /// Whether [`dot`](Isa::dot) with `BITS = 8` takes weights that did not go through [`i_signed`](Isa::i_signed) for 0..=255,
    /// and there are registers to carry some from sub-block to sub-block.
    const RUNNING: bool = Self::MANY && Self::SIGNED_ZERO == 128;
    /// Whether loops over sub-blocks are worth unrolling.
    const UNROLL: bool = true;
    /// Whether products of signed 8-bit weights are as cheap as those of narrow ones.
    const WIDE_IS_CHEAP: bool;
    /// Tiles that are decoded to a panel together: three where their sums with four columns fit the registers, as those of
    /// two tiles with six do. That is as many products with a seventh fewer loads, and columns come from the second cache
    /// two thirds as often.
    const TOGETHER: usize = 2;
    /// Columns whose sums with so many tiles [`dot_tiles`](Isa::dot_tiles) takes at best: 6 or 4.
    const COLUMNS: usize = 6;

    /// Opens the instruction set's frame and calls the kernel in it.
    fn run<K: Kernel>(self, kernel: K) -> K::Out;

    /// All lanes `v`.
    fn i_splat(self, v: i32) -> Self::I;
    /// Loads 64 bytes.
    fn i_load(self, p: &[u8; 64]) -> Self::I;
    /// Bitwise and.
    fn i_and(self, a: Self::I, b: Self::I) -> Self::I;
    /// Bitwise or.
    fn i_or(self, a: Self::I, b: Self::I) -> Self::I;
    /// Bitwise exclusive or.
    fn i_xor(self, a: Self::I, b: Self::I) -> Self::I;
    /// Wrapping i32 sum.
    fn i_add(self, a: Self::I, b: Self::I) -> Self::I;
    /// Wrapping i32 difference.
    fn i_sub(self, a: Self::I, b: Self::I) -> Self::I;
    /// Wrapping i32 product.
    fn i_mul(self, a: Self::I, b: Self::I) -> Self::I;
    /// Signed maximum.
    fn i_max(self, a: Self::I, b: Self::I) -> Self::I;
    /// Shift left, `n < 32`.
    fn i_shl(self, a: Self::I, n: u32) -> Self::I;
    /// Logical shift right, `n < 32`.
    fn i_shr(self, a: Self::I, n: u32) -> Self::I;
    /// Arithmetic shift right, `n < 32`.
    fn i_sar(self, a: Self::I, n: u32) -> Self::I;
    /// To f32, round to nearest even.
    fn i_to_f(self, a: Self::I) -> Self::F;
    /// The same bits as f32.
    fn i_as_f(self, a: Self::I) -> Self::F;
    /// Wrapping sum of all lanes.
    fn i_sum(self, a: Self::I) -> i32;
    /// Largest lane.
    fn i_top(self, a: Self::I) -> i32;
    /// The low byte of each lane.
    fn i_narrow(self, a: Self::I) -> [i8; 16];
    /// Sixteen bytes, zero-extended.
    fn i_load_u8(self, p: &[u8; 16]) -> Self::I;
    /// Sixteen bytes, sign-extended.
    fn i_load_i8(self, p: &[i8; 16]) -> Self::I;
    /// Sixteen u16, zero-extended.
    fn i_load_u16(self, p: &[u16; 16]) -> Self::I;
    /// The low 16 bits of each lane, below 2^16, as an IEEE half float, widened.
    fn i_half(self, a: Self::I) -> Self::F;

    /// Wrapping difference of each of the 64 bytes.
    fn b_sub(self, a: Self::I, b: Self::I) -> Self::I;
    /// Three times each of the 64 bytes, wrapping.
    #[inline(always)]
    fn b_thrice(self, a: Self::I) -> Self::I {
        self.b_sub(a, self.b_sub(self.b_sub(self.i_splat(0), a), a))
    }
    /// `table[b]` for each of the 64 bytes, which are below 16.
    fn b_lookup(self, table: &[u8; 16], index: Self::I) -> Self::I;
    /// `table[b % 16]` for each of the 64 bytes, whose top bit is clear.
    #[inline(always)]
    fn b_lookup_low(self, table: &[u8; 16], index: Self::I) -> Self::I {
        self.b_lookup(table, self.i_and(index, self.i_splat(0x0f0f_0f0f)))
    }
    /// Spreads byte `l` of each lane over the lane's nibbles: its bit `t` goes to bit 2 of byte `t`, its bit `4 + t` to
    /// bit 6; the others are clear. `l < 4`.
    fn b_signs(self, signs: Self::I, l: usize) -> Self::I;
    /// `sum - b` (wrapping) in place of byte `t` of a lane `b` where bit `4 g + t` of the lane of `signs` is set; `g <
    /// 8`.
    fn b_reflect(self, v: Self::I, sum: u8, signs: Self::I, g: usize) -> Self::I;
    /// Low 16 bits of the product of each of the 32 u16.
    fn h_mul(self, a: Self::I, b: Self::I) -> Self::I;
    /// High 16 bits of the product of each of the 32 u16.
    fn h_mul_high(self, a: Self::I, b: Self::I) -> Self::I;
    /// `table[i % N]` for each lane `i`, where `N` is a power of two: the entry's bytes become the lane's.
    fn i_gather<const N: usize>(self, table: &[[u8; 4]; N], index: Self::I) -> Self::I;
    /// Whether there is [`i_entries`](Isa::i_entries), which suits tables in registers.
    const BOOKS: bool = false;
    /// The entries of a codebook, numbered modulo `N` by the low and by the high half of each lane.
    fn i_entries<const N: usize, const P: usize>(self, _book: &Book<N>, _index: [Self::I; P]) -> [[Self::I; 2]; P] {
        unreachable!("no codebooks in registers")
    }

    /// Whether there are [`b_eights`](Isa::b_eights) and [`b_fours`](Isa::b_fours), which are then the way to look up books.
    const FINDS_BYTES: bool = false;
    /// Four codes of seven bits in the low 28 bits of every lane, to its bytes.
    fn b_codes(self, _v: Self::I) -> Self::I {
        unreachable!("no lookups of bytes")
    }
    /// The weights of four entries of eight levels in each lane, whose numbers are the bytes of `index`, with byte `l` of `signs`
    /// for the signs of the `l`th.
    fn b_eights(self, _book: &Book<256>, _index: Self::I, _signs: Self::I) -> [Self::I; 8] {
        unreachable!("no lookups of bytes")
    }
    /// The same of eight entries of four levels, whose numbers are the bytes of `index` and, in a book of 512, bits `high.1..`
    /// of `high.0` above them.
    fn b_fours<const N: usize>(
        self,
        _book: &Book<N>,
        _index: [Self::I; 2],
        _high: (Self::I, u32),
        _signs: Self::I,
    ) -> [Self::I; 8] {
        unreachable!("no lookups of bytes")
    }

    /// Regroups 16 bytes of each of 16 rows: register `w` of the result has word `w` of row `j` in lane `j`.
    fn i_transpose(self, rows: &[&[u8; 16]; 16]) -> [Self::I; 4];
    /// Stores 64 bytes.
    fn i_store(self, p: &mut [u8; 64], v: Self::I);
    /// Asks for the cache line at an address, into the nearest cache; any address will do, nothing is read.
    fn prefetch(self, p: *const u8);
    /// As [`prefetch`](Isa::prefetch), into the second cache: for what is needed later than the nearest cache can wait.
    fn prefetch_far(self, p: *const u8);

    /// The same value at a seam of the program: as far as the compiler is concerned, it is computed before, and what is
    /// read after this is read after this.
    #[inline(always)]
    fn seam(self, v: Self::F) -> Self::F {
        compiler_fence(Ordering::SeqCst);
        v
    }

    /// Signed weight bytes as [`dot`](Isa::dot) with `BITS = 8` takes them on this hardware.
    fn i_signed(self, w: Self::I) -> Self::I;

    /// Lane `j` of the result: `init[j] + sum over g and t of w.word(g).byte(4 j + t) * x[g][t]`, exact. Each word
    /// is asked for once, where it is multiplied.
    ///
    /// For `BITS < 8` the weight bytes are unsigned and below `1 << BITS`; for `BITS == 8` they went through
    /// [`i_signed`](Isa::i_signed). `x` lies within -127..=127.
    fn dot<const BITS: u32, const N: usize>(self, w: &impl Words<Self>, x: &[[i8; 4]; N], init: Self::I) -> Self::I;

    /// The same for `T` tiles in memory and `C` columns: adds the products of words `words[0]..words[1]` of tile `t`
    /// with column `c` to `acc[t][c]`.
    fn dot_tiles<const BITS: u32, const T: usize, const C: usize>(
        self,
        w: [&[[u8; 64]; 8]; T],
        x: [&[[i8; 4]; 8]; C],
        words: [usize; 2],
        acc: &mut [[Self::I; C]; T],
    );

    /// Whether there is a matrix unit for the sums of many columns; the `tiles` methods are for such ISAs only.
    const TILES: bool = false;

    /// Takes the zero point off every stored weight: bytes as [`tiles_sums`](Isa::tiles_sums) takes them.
    fn i_tiles(self, _w: Self::I, _zero: i32) -> Self::I {
        unreachable!("no matrix unit")
    }

    /// Shapes the matrix unit for `columns` (1 to 16) and `words` words of weights (4 or 8).
    ///
    /// # Safety
    /// [`TILES`](Isa::TILES).
    unsafe fn tiles_open(self, _columns: usize, _words: usize) {
        unreachable!("no matrix unit")
    }

    /// Begins the sums over words `word..` of a sub-block, zero points taken off, in register `R` (0 to 3): `w` are a
    /// tile's weights as [`i_tiles`](Isa::i_tiles) left them, `x` the columns.
    ///
    /// # Safety
    /// Between [`tiles_open`](Isa::tiles_open) and [`tiles_close`](Isa::tiles_close) on one thread, with exactly as many
    /// columns and words left as `tiles_open` was told.
    unsafe fn tiles_start<const R: usize>(self, _w: &[[u8; 64]; 8], _x: &[ActBlock], _word: usize) {
        unreachable!("no matrix unit")
    }

    /// Stores the sums of register `R`: as many columns as `tiles_open` was told.
    ///
    /// # Safety
    /// As [`tiles_start`](Isa::tiles_start).
    unsafe fn tiles_finish<const R: usize>(self, _out: &mut TileSums) {
        unreachable!("no matrix unit")
    }

    /// Ends the use of the matrix unit.
    ///
    /// # Safety
    /// [`TILES`](Isa::TILES).
    unsafe fn tiles_close(self) {
        unreachable!("no matrix unit")
    }

    /// Stores 32 bytes, in one piece where a later load of all of them would have to wait for several.
    fn store_fours(self, p: &mut [u8; 32], v: [u64; 4]) {
        *p = bytemuck::cast(v.map(u64::to_le_bytes));
    }

    /// Whether one instruction multiplies two rows of weights with two columns; the `pairs` methods are for such ISAs
    /// only. Their registers of sums belong to rows `2 i` and `2 i + 1` and eight columns: lane `4 p + 2 r + c` to row
    /// `2 i + r` and column `2 p + c`.
    const PAIRS: bool = false;

    /// The lanes of `a` and `b` in turns: those of rows 0..8, then those of rows 8..16.
    fn pairs_weights(self, _a: Self::I, _b: Self::I) -> [Self::I; 2] {
        unreachable!("no products of pairs")
    }

    /// Sums over weights `8 FROM..8 TO` of rows `8 h..8 h + 8` and eight columns, all signed: `w[2 g + h]` and `x[g]` hold
    /// weights `8 g..8 g + 8`, eight bytes of each row and column. Register `i` is for rows `2 i` and `2 i + 1`.
    fn pairs_sums<const FROM: usize, const TO: usize>(
        self,
        _w: &[[u8; 64]; 8],
        _h: usize,
        _x: &[[u8; 64]; 4],
    ) -> [Self::I; 4] {
        unreachable!("no products of pairs")
    }

    /// One value a row as registers of sums: register `i` has those of rows `2 i` and `2 i + 1`, for all columns.
    fn pairs_rows(self, _v: &[f32; 8]) -> [Self::F; 4] {
        unreachable!("no products of pairs")
    }

    /// Registers `i` and `i + 1`, `i` even, as columns: lane `4 p + r` of the first is column `2 p` and row `2 i + r`, the
    /// second has the columns `2 p + 1`.
    fn pairs_split(self, _v: [Self::F; 2]) -> [Self::F; 2] {
        unreachable!("no products of pairs")
    }

    /// The reverse of [`pairs_split`](Isa::pairs_split).
    fn pairs_join(self, _v: [Self::F; 2]) -> [Self::F; 2] {
        unreachable!("no products of pairs")
    }

    /// All lanes `v`.
    fn f_splat(self, v: f32) -> Self::F;
    /// Loads 16 values.
    fn f_load(self, p: &[f32; 16]) -> Self::F;
    /// Stores 16 values.
    fn f_store(self, p: &mut [f32; 16], v: Self::F);
    /// Loads 16 IEEE half floats (as bits) and widens them, exact.
    fn f_load_f16(self, p: &[u16; 16]) -> Self::F;
    /// Narrows to IEEE half floats (as bits), round to nearest even.
    fn f_store_f16(self, p: &mut [u16; 16], v: Self::F);
    /// Sum.
    fn f_add(self, a: Self::F, b: Self::F) -> Self::F;
    /// Difference.
    fn f_sub(self, a: Self::F, b: Self::F) -> Self::F;
    /// Product.
    fn f_mul(self, a: Self::F, b: Self::F) -> Self::F;
    /// Quotient.
    fn f_div(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a * b + c` with one rounding.
    fn f_fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// `if a > b { a } else { b }` (so `b` when either is a NaN).
    fn f_max(self, a: Self::F, b: Self::F) -> Self::F;
    /// `if a < b { a } else { b }` (so `b` when either is a NaN).
    fn f_min(self, a: Self::F, b: Self::F) -> Self::F;
    /// To i32, round to nearest even; the value must fit.
    fn f_round(self, a: Self::F) -> Self::I;
    /// The same bits as i32.
    fn f_as_i(self, a: Self::F) -> Self::I;
    /// Sum of all lanes by the contract's tree: lanes `j` and `j + 8`, then `j + 4`, `j + 2`, `j + 1`.
    fn f_sum(self, a: Self::F) -> f32;
    /// [`f_sum`](Isa::f_sum) of each of sixteen, in order.
    #[inline(always)]
    fn f_sums(self, of: &[[f32; 16]; 16]) -> Self::F {
        let mut sums = [0.0; 16];
        each16!(i => { sums[i] = self.f_sum(self.f_load(&of[i])); });
        self.f_load(&sums)
    }
    /// Largest lane (no NaN among them).
    fn f_top(self, a: Self::F) -> f32;
}

/// Integer sums of a matrix unit, `[column][row]`.
#[repr(C, align(64))]
pub struct TileSums(pub [[i32; 16]; 16]);

impl TileSums {
    /// All zero.
    pub const ZERO: Self = Self([[0; 16]; 16]);
}

/// Loads 16 values, zero where `p` has fewer.
#[inline(always)]
pub fn load_tail<S: Isa>(s: S, p: &[f32]) -> S::F {
    match p.first_chunk::<16>() {
        Some(full) => s.f_load(full),
        None => {
            let mut t = [0.0; 16];
            t[..p.len()].copy_from_slice(p);
            s.f_load(&t)
        }
    }
}

/// Stores as many of the 16 values as `p` has room for.
#[inline(always)]
pub fn store_tail<S: Isa>(s: S, p: &mut [f32], v: S::F) {
    match p.first_chunk_mut::<16>() {
        Some(full) => s.f_store(full, v),
        None => {
            let mut t = [0.0; 16];
            s.f_store(&mut t, v);
            let n = p.len();
            p.copy_from_slice(&t[..n]);
        }
    }
}
