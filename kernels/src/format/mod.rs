//! Weight formats: each file turns one format's bits into the canonical form, and does nothing else.
//!
//! The canonical form of 32 consecutive weights is [`Canon`]: 8-bit integers, an f32 scale and an f32 offset (and, for
//! formats whose scales cover 16 weights, one integer factor a half). A block format says so twice: [`Quant::decode`]
//! is the plain, readable version for one row (the oracle, and the embedding look-up), [`Quant::sub`] the version over
//! sixteen rows in lanes, written once for every ISA. Tests hold them together exactly.
//!
//! # The packed tile (rows in lanes)
//!
//! Kernels read tiles of 16 rows in which lane `j` belongs to row `j`. A tile's block is the 16 file blocks with their
//! bytes regrouped by [`Quant::PLAN`], of exactly the same size:
//!
//! ```text
//! Q4_0, 16 rows x 32 weights = 288 bytes
//!  0    d[0] d[1] ... d[15]                              16 halfs: Half(0)
//!  32   row 0: q0 q1 q2 q3 | row 1: q0 q1 q2 q3 | ...    64 bytes: word 0 of every row   \
//!  96   row 0: q4 q5 q6 q7 | row 1: ...                  64 bytes: word 1                 } Words { at: 2, n: 4 }
//!  ...                                                                                   /
//! ```
//!
//! The file's own layout is read by regrouping a tile into scratch that stays in cache; a packed file holds the
//! tiles themselves. Both give the same bytes to the same kernel, hence the same bits.

/// An array of eight registers, from the group's index. No `std::array::from_fn`: its closure would not be compiled
/// with the frame's instruction set, and every intrinsic in it would become a call.
macro_rules! eight {
    ($s:ident, $g:ident => $e:expr) => {{
        let mut all = [$s.i_splat(0); 8];
        crate::isa::each!(8, $g => { all[$g] = $e; });
        all
    }};
}

mod codebook;
mod float;
mod fold;
mod grid;
mod pack;
pub mod random;
mod rows;

mod bf16;
mod f16;
mod f32;
mod iq1_m;
mod iq1_s;
mod iq2_s;
mod iq2_xs;
mod iq2_xxs;
mod iq3_s;
mod iq3_xxs;
mod iq4_nl;
mod iq4_xs;
mod mxfp4;
mod nvfp4;
mod q2_k;
mod q3_k;
mod q4_0;
mod q4_1;
mod q4_k;
mod q5_0;
mod q5_1;
mod q5_k;
mod q6_k;
mod q8_0;
mod tq1_0;
mod tq2_0;

pub use self::f16::F16;
pub use self::f32::F32;
pub use bf16::Bf16;
pub use float::Float;
pub use fold::{Folded, Small};
pub use iq1_m::Iq1M;
pub use iq1_s::Iq1S;
pub use iq2_s::Iq2S;
pub use iq2_xs::Iq2Xs;
pub use iq2_xxs::Iq2Xxs;
pub use iq3_s::Iq3S;
pub use iq3_xxs::Iq3Xxs;
pub use iq4_nl::Iq4Nl;
pub use iq4_xs::Iq4Xs;
pub use mxfp4::Mxfp4;
pub use nvfp4::Nvfp4;
pub use pack::{pack_block, pack_tile};
pub use q2_k::Q2K;
pub use q3_k::Q3K;
pub use q4_0::Q4_0;
pub use q4_1::Q4_1;
pub use q4_k::Q4K;
pub use q5_0::Q5_0;
pub use q5_1::Q5_1;
pub use q5_k::Q5K;
pub use q6_k::Q6K;
pub use q8_0::Q8_0;
pub use rows::{EvenRows, LooseRows, TileRows};
pub use tq1_0::Tq1_0;
pub use tq2_0::Tq2_0;

use crate::isa::Isa;
use crate::op::quantize::ActBlock;

/// Rows in a packed tile: one a lane.
pub const TILE_ROWS: usize = 16;
/// Weights that share an activation scale.
pub const SUB: usize = 32;

/// Thirty-two weights of one row in canonical form: with `h = k / 16`,
/// `weight = scale * (half[h] * q[k]) + offset * offset_half[h]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Canon {
    /// The integers.
    pub q: [i8; SUB],
    /// Factor of each half; 1 where the format has none. Integers but for NVFP4.
    pub half: [f32; 2],
    /// Scale of all 32.
    pub scale: f32,
    /// Offset of all 32; 0 for symmetric formats.
    pub offset: f32,
    /// Integer factor of the offset of each half; 1 where the format has none.
    pub offset_half: [f32; 2],
}

impl Canon {
    /// Thirty-two weights with one scale and nothing else.
    fn new(q: [i8; SUB], scale: f32) -> Self {
        Self { q, half: [1.0; 2], scale, offset: 0.0, offset_half: [1.0; 2] }
    }

    /// Weight `k` as f32.
    pub fn weight(&self, k: usize) -> f32 {
        let q = self.half[k / 16] * f32::from(self.q[k]);
        self.scale.mul_add(q, self.offset * self.offset_half[k / 16])
    }
}

/// Thirty-two weights of sixteen rows in lanes: byte `4 j + t` of `w[g]` is weight `4 g + t` of row `j`, without the
/// format's zero point taken off.
pub struct Lanes<S: Isa> {
    /// The integers, as stored.
    pub w: [S::I; 8],
    /// Factor of each half; used when [`Form::HALVES`].
    pub half: [S::F; 2],
    /// Scale per row.
    pub scale: S::F,
    /// Offset per row; used when [`Form::OFFSET`].
    pub offset: S::F,
    /// Integer factor of the offset of each half; used when [`Form::OFFSET_HALVES`].
    pub offset_half: [S::F; 2],
}

impl<S: Isa> Lanes<S> {
    /// Weights with one scale a row and nothing else.
    #[inline(always)]
    fn new(s: S, w: [S::I; 8], scale: S::F) -> Self {
        let one = s.f_splat(1.0);
        Self { w, half: [one; 2], scale, offset: s.f_splat(0.0), offset_half: [one; 2] }
    }
}

/// What the sub-blocks of a packed block share, of sixteen rows in lanes; what it means is the format's own business.
pub struct Head<S: Isa> {
    /// Such as packed scales.
    pub ints: [S::I; 4],
    /// Such as super-scales.
    pub floats: [S::F; 2],
}

/// How the bytes of 16 file blocks are regrouped in a packed block.
#[derive(Clone, Copy, Debug)]
pub enum Section {
    /// The half-precision scale at this offset, row after row (32 bytes).
    Half(usize),
    /// The 16-bit field at this offset, row after row (32 bytes).
    Short(usize),
    /// The exponent of a scale (E8M0, one byte) at this offset, row after row (16 bytes).
    Exponent(usize),
    /// `n` 4-byte words from `at`: word 0 of every row, word 1 of every row, ... (64 bytes each).
    Words {
        /// Offset in the file block.
        at: usize,
        /// How many words.
        n: usize,
    },
    /// The 32 bits at this offset, one a weight, moved so that bit `8 t + g` is that of weight `4 g + t`: a shift by
    /// `g` then lines the bits up with the bytes of `w[g]` (64 bytes).
    Bits(usize),
}

/// What the arithmetic of a format looks like: all that the kernels need to know of it once its bits are decoded.
pub trait Form: Send + Sync + 'static {
    /// Width of the integers as stored: below 8 unsigned, 8 signed.
    const BITS: u32;
    /// What is taken off the stored integer.
    const ZERO: i32;
    /// Whether halves of 16 weights have factors. The sum of both is `fma(high, half[1], low * half[0])`, which is
    /// exact for integer factors: of Q6_K the largest sum is `2 * 16 * 127 * 32 * 128`, within 2^24.
    const HALVES: bool;
    /// Whether there is an offset.
    const OFFSET: bool;
    /// Whether the offset has integer factors for halves. The sum over both, `offset_half` times activations, is exact.
    const OFFSET_HALVES: bool;
    /// The form of weights whose factors are multiplied in, by [`fold`](Form::fold), once for many columns.
    type Folded: Form;

    /// Multiplies the factors of halves into the weights, where the products fit 8 bits. The integer sums stay the
    /// same.
    fn fold<S: Isa>(s: S, lanes: Lanes<S>) -> Lanes<S>;
}

/// [`Form`] by its four constants: bits, zero point, halves, offset.
pub struct Stored<const BITS: u32, const ZERO: i32, const HALVES: bool, const OFFSET: bool>;

impl<const B: u32, const Z: i32, const H: bool, const O: bool> Form for Stored<B, Z, H, O> {
    const BITS: u32 = B;
    const ZERO: i32 = Z;
    const HALVES: bool = H;
    const OFFSET: bool = O;
    const OFFSET_HALVES: bool = false;
    type Folded = Self;

    #[inline(always)]
    fn fold<S: Isa>(_: S, lanes: Lanes<S>) -> Lanes<S> {
        lanes
    }
}

/// A block format.
pub trait Quant: Send + Sync + 'static {
    /// The arithmetic.
    type Form: Form;
    /// Weights in a block: a multiple of 32.
    const BLOCK: usize;
    /// Bytes of a block in the file.
    const BYTES: usize;
    /// The packed block: at most six sections.
    const PLAN: &'static [Section];

    /// Bytes of a packed block of 16 rows.
    const PACKED: usize = Self::BYTES * TILE_ROWS;

    /// Whether the decode kernel lets the compiler mix the instructions of neighbouring sub-blocks. That keeps gathers
    /// from tables busy while sums wait, and takes registers that most formats lack (measured for each).
    const MIXED: bool = false;

    /// Whether it looks up a codebook byte by byte where [`Isa::FINDS_BYTES`] says that there is a way to.
    const BY_BYTES: bool = false;

    /// Whether a block is decoded about as fast as it comes from memory, so that each of a few rows of x may decode it anew.
    const QUICK: bool = true;

    /// Whether the sub-blocks of a packed block read it from one end to the other, by and large.
    const IN_ORDER: bool = true;

    /// Overwrites the scales of a file block with what `next` gives, each rounded to what the format can hold: for who
    /// makes weights out of random bytes.
    fn write_scales(block: &mut [u8], next: &mut dyn FnMut() -> f32) {
        for section in Self::PLAN {
            match *section {
                Section::Half(at) => block[at..at + 2].copy_from_slice(&half::f16::from_f32(next()).to_le_bytes()),
                Section::Exponent(at) => block[at] = (next().abs().log2().round() + 128.0) as u8,
                Section::Short(_) | Section::Words { .. } | Section::Bits(_) => {}
            }
        }
    }

    /// Sub-block `i` of a file block (`BYTES` long).
    fn decode(block: &[u8], i: usize) -> Canon;

    /// Sub-block `i` of a packed block (`PACKED` long).
    fn sub<S: Isa>(s: S, block: &[u8], i: usize) -> Lanes<S>;

    /// Whether each of the words of [`sub`](Self::sub) can be had alone, by [`word`](Self::word).
    const WORDS: bool = false;

    /// Word `g` of `w` of sub-block `i`; where it cannot be had alone, by way of all of them.
    #[inline(always)]
    fn word<S: Isa>(s: S, block: &[u8], i: usize, g: usize) -> S::I {
        Self::sub(s, block, i).w[g]
    }

    /// Whether one column's integer sums come from [`running_sum`](Self::running_sum), on instruction sets that
    /// [suit it](Isa::RUNNING).
    const RUNNING: bool = false;

    /// The integer sum of sub-block `i` with `x`, the zero point taken off. `state` is what it left at sub-block `i - 1`.
    #[inline(always)]
    fn running_sum<S: Isa>(_: S, _state: &mut [S::I; 8], _block: &[u8], _i: usize, _x: &ActBlock) -> S::I {
        unreachable!("no running sums")
    }

    /// What [`sub_with`](Self::sub_with) wants, where that is sooner done for a whole packed block than for each
    /// sub-block: nothing, unless a format says so.
    #[inline(always)]
    fn head<S: Isa>(s: S, _block: &[u8]) -> Head<S> {
        Head { ints: [s.i_splat(0); 4], floats: [s.f_splat(0.0); 2] }
    }

    /// The same as [`sub`](Self::sub), with the block's head at hand.
    #[inline(always)]
    fn sub_with<S: Isa>(s: S, _head: &Head<S>, block: &[u8], i: usize) -> Lanes<S> {
        Self::sub(s, block, i)
    }
}

/// Every weight format that the kernels read, by its GGUF tensor type. A new format is a file and a line here.
macro_rules! formats {
    ($($kind:ident $name:ident = $id:literal, $text:literal;)*) => {
        /// A weight format that the kernels read.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Format { $(#[doc = $text] $name,)* }

        impl Format {
            /// Every format.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The format of a GGUF tensor type id.
            pub fn from_id(id: u32) -> Option<Self> {
                match id { $($id => Some(Self::$name),)* _ => None }
            }
            /// The GGUF tensor type id.
            pub fn id(self) -> u32 {
                match self { $(Self::$name => $id,)* }
            }
            /// The customary name, such as `Q4_K`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
            /// Calls back with the format's type.
            pub fn visit<V: FormatVisitor>(self, v: V) -> V::Out {
                match self { $(Self::$name => formats!(@$kind v, $name),)* }
            }
        }
    };
    (@quant $v:ident, $name:ident) => { $v.quant::<$name>() };
    (@float $v:ident, $name:ident) => { $v.float::<$name>() };
}

formats! {
    float F32 = 0, "F32";
    float F16 = 1, "F16";
    quant Q4_0 = 2, "Q4_0";
    quant Q4_1 = 3, "Q4_1";
    quant Q5_0 = 6, "Q5_0";
    quant Q5_1 = 7, "Q5_1";
    quant Q8_0 = 8, "Q8_0";
    quant Q2K = 10, "Q2_K";
    quant Q3K = 11, "Q3_K";
    quant Q4K = 12, "Q4_K";
    quant Q5K = 13, "Q5_K";
    quant Q6K = 14, "Q6_K";
    quant Iq2Xxs = 16, "IQ2_XXS";
    quant Iq2Xs = 17, "IQ2_XS";
    quant Iq3Xxs = 18, "IQ3_XXS";
    quant Iq1S = 19, "IQ1_S";
    quant Iq4Nl = 20, "IQ4_NL";
    quant Iq3S = 21, "IQ3_S";
    quant Iq2S = 22, "IQ2_S";
    quant Iq4Xs = 23, "IQ4_XS";
    quant Iq1M = 29, "IQ1_M";
    float Bf16 = 30, "BF16";
    quant Tq1_0 = 34, "TQ1_0";
    quant Tq2_0 = 35, "TQ2_0";
    quant Mxfp4 = 39, "MXFP4";
    quant Nvfp4 = 40, "NVFP4";
}

/// Code that is generic over the format type, chosen at run time by [`Format::visit`].
pub trait FormatVisitor {
    /// What it returns.
    type Out;
    /// Called for a block format.
    fn quant<Q: Quant>(self) -> Self::Out;
    /// Called for a floating-point format.
    fn float<T: Float>(self) -> Self::Out;
}

/// [`Quant::QUICK`]; floats are not decoded to blocks.
struct IsQuick;
impl FormatVisitor for IsQuick {
    type Out = bool;
    fn quant<Q: Quant>(self) -> bool {
        Q::QUICK
    }
    fn float<T: Float>(self) -> bool {
        false
    }
}

/// Block geometry of a format.
struct Geometry;
impl FormatVisitor for Geometry {
    type Out = (usize, usize);
    fn quant<Q: Quant>(self) -> (usize, usize) {
        (Q::BLOCK, Q::BYTES)
    }
    fn float<T: Float>(self) -> (usize, usize) {
        (1, T::BYTES)
    }
}

impl Format {
    /// Weights in a block (1 for floats).
    pub fn block_len(self) -> usize {
        self.visit(Geometry).0
    }

    /// Bytes of a block.
    pub fn block_bytes(self) -> usize {
        self.visit(Geometry).1
    }

    /// Whether the format is of the block kind, so that its products take quantized activations.
    pub fn is_quant(self) -> bool {
        self.block_len() > 1
    }

    /// [`Quant::QUICK`]; false for floats.
    pub(crate) fn is_quick(self) -> bool {
        self.visit(IsQuick)
    }

    /// Bytes of a row of `cols` weights, where that is a whole number of blocks and fits in memory.
    pub fn row_bytes(self, cols: usize) -> Option<usize> {
        let (len, bytes) = self.visit(Geometry);
        cols.is_multiple_of(len).then(|| (cols / len).checked_mul(bytes)).flatten()
    }
}

struct WriteScales<'a>(&'a mut [u8], &'a mut dyn FnMut() -> f32);
impl FormatVisitor for WriteScales<'_> {
    type Out = ();
    fn quant<Q: Quant>(self) {
        self.0.chunks_exact_mut(Q::BYTES).for_each(|block| Q::write_scales(block, self.1));
    }
    fn float<T: Float>(self) {}
}

impl Format {
    /// Overwrites the scales of each whole block in `row` (file layout), in the order of [`Quant::PLAN`], with what
    /// `next` gives, each rounded to what the format can hold. It makes weights of a size out of random bytes; floats
    /// have none.
    pub fn write_scales(self, row: &mut [u8], mut next: impl FnMut() -> f32) {
        self.visit(WriteScales(row, &mut next));
    }
}

struct Dequantize<'a>(&'a [u8], &'a mut [f32]);
impl FormatVisitor for Dequantize<'_> {
    type Out = ();
    fn quant<Q: Quant>(self) {
        for (block, out) in self.0.chunks_exact(Q::BYTES).zip(self.1.chunks_mut(Q::BLOCK)) {
            for (i, out) in out.chunks_mut(SUB).enumerate() {
                let c = Q::decode(block, i);
                out.iter_mut().enumerate().for_each(|(k, o)| *o = c.weight(k));
            }
        }
    }
    fn float<T: Float>(self) {
        for (b, out) in self.0.chunks_exact(T::BYTES).zip(self.1.iter_mut()) {
            *out = T::decode(b);
        }
    }
}

impl Format {
    /// Writes the weights of `row` (file layout) to `out` as f32; as many as both hold.
    pub fn dequantize(self, row: &[u8], out: &mut [f32]) {
        self.visit(Dequantize(row, out));
    }
}

/// The half-precision number stored little-endian at `at`.
#[inline(always)]
fn half_at(block: &[u8], at: usize) -> f32 {
    half::f16::from_le_bytes([block[at], block[at + 1]]).to_f32_const()
}

/// The 64 bytes of word section `n` that starts at `at` of a packed block.
#[inline(always)]
fn words<S: Isa>(s: S, block: &[u8], at: usize, n: usize) -> S::I {
    let at = at + 64 * n;
    s.i_load(block[at..at + 64].first_chunk().expect("64 bytes"))
}

/// The 16 halfs at `at` of a packed block, widened.
#[inline(always)]
fn halfs<S: Isa>(s: S, block: &[u8], at: usize) -> S::F {
    s.f_load_f16(&float::sixteen_u16(&block[at..at + 32]))
}

/// The 16-bit fields at `at` of a packed block.
#[inline(always)]
fn shorts<S: Isa>(s: S, block: &[u8], at: usize) -> S::I {
    s.i_load_u16(&float::sixteen_u16(&block[at..at + 32]))
}

/// Bits of every lane moved from bit `from` to bit `to`, where `mask` keeps what is wanted.
#[inline(always)]
fn field<S: Isa>(s: S, v: S::I, from: u32, to: u32, mask: u32) -> S::I {
    let v = match from.cmp(&to) {
        std::cmp::Ordering::Less => s.i_shl(v, to - from),
        std::cmp::Ordering::Equal => v,
        std::cmp::Ordering::Greater => s.i_shr(v, from - to),
    };
    s.i_and(v, s.i_splat(mask as i32))
}

/// Low (`hi` false) or high nibble of every byte.
#[inline(always)]
fn nibbles<S: Isa>(s: S, v: S::I, hi: bool) -> S::I {
    s.i_and(if hi { s.i_shr(v, 4) } else { v }, s.i_splat(0x0f0f_0f0f))
}

#[cfg(test)]
mod tests;
