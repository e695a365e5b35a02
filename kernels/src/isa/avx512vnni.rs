//! AVX-512 with VNNI: sixteen lanes are one register, four byte products a lane are one instruction. With `TILES`, the
//! CPU also has the matrix unit of [`super::amx`], which takes over the integer sums of many columns; with `BYTES` codebooks
//! are looked up as [`super::vbmi`] does.

use super::lanes512::{lanes512, look_up};
use super::x86::{Tables, signs, simd, token};
use super::{Book, Isa, Kernel, TileSums, Words, amx, vbmi};
use crate::op::quantize::ActBlock;
use std::arch::x86_64::*;

token! {
    /// Proof that the CPU has AVX-512 F/BW/VL/DQ/VNNI (and AVX2, FMA, F16C), with `TILES` AMX-INT8 as well, with `BYTES` VBMI.
    Avx512Vnni<TILES, BYTES>(Tables): ["avx512f" "avx512bw" "avx512vl" "avx512dq" "avx512vnni" "avx2" "fma" "f16c"]
        && (!TILES || amx::available()) && (!BYTES || Tables::new().bytes)
}

impl From<Avx512Vnni<true, false>> for Avx512Vnni<false, false> {
    /// The matrix unit comes on top of the same features.
    fn from(s: Avx512Vnni<true, false>) -> Self {
        Self((), s.1)
    }
}

impl Avx512Vnni<false, false> {
    /// Runs a kernel, with lookups of bytes where it looks up codebooks and the CPU has them: in code of its own, because a
    /// choice within the loops costs both ways about a tenth.
    #[inline]
    pub(super) fn run_with_books<K: Kernel>(self, kernel: K) -> K::Out {
        if K::BY_BYTES && self.1.bytes {
            return Avx512Vnni::<false, true>((), self.1).run(kernel);
        }
        self.run(kernel)
    }
}

impl<const TILES: bool, const BYTES: bool> Avx512Vnni<TILES, BYTES> {
    look_up!();
}

impl<const TILES: bool, const BYTES: bool> Isa for Avx512Vnni<TILES, BYTES> {
    lanes512!();
    const SIGNED_ZERO: i32 = 128;
    const WIDE_IS_CHEAP: bool = true;
    const TILES: bool = TILES;
    const TOGETHER: usize = if TILES { 2 } else { 3 };
    const COLUMNS: usize = if TILES { 6 } else { 4 };

    const FINDS_BYTES: bool = BYTES;

    #[inline(always)]
    fn b_codes(self, v: Self::I) -> Self::I {
        assert!(BYTES, "no lookups of bytes");
        simd!(vbmi::codes(v))
    }
    #[inline(always)]
    fn b_eights(self, book: &Book<256>, index: Self::I, signs: Self::I) -> [Self::I; 8] {
        assert!(BYTES, "no lookups of bytes");
        simd!(vbmi::eights(book, index, signs))
    }
    #[inline(always)]
    fn b_fours<const N: usize>(
        self,
        book: &Book<N>,
        index: [Self::I; 2],
        high: (Self::I, u32),
        signs: Self::I,
    ) -> [Self::I; 8] {
        assert!(BYTES, "no lookups of bytes");
        simd!(vbmi::fours(book, index, high, signs))
    }
    #[inline(always)]
    fn i_signed(self, w: Self::I) -> Self::I {
        // Flipping the top bit adds 128 to a signed byte and makes it unsigned.
        simd!(_mm512_xor_si512(w, _mm512_set1_epi8(-128)))
    }
    #[inline(always)]
    fn dot<const BITS: u32, const N: usize>(self, w: &impl Words<Self>, x: &[[i8; 4]; N], init: Self::I) -> Self::I {
        let mut acc = init;
        each!(N, g => {
            acc = simd!(_mm512_dpbusd_epi32(acc, w.word(self, g), _mm512_set1_epi32(bytemuck::cast(x[g]))));
        });
        acc
    }
    #[inline(always)]
    fn dot_tiles<const BITS: u32, const T: usize, const C: usize>(
        self,
        w: [&[[u8; 64]; 8]; T],
        x: [&[[i8; 4]; 8]; C],
        words: [usize; 2],
        acc: &mut [[Self::I; C]; T],
    ) {
        for g in words[0]..words[1] {
            let mut word = [self.i_splat(0); T];
            each!(T, t => { word[t] = self.i_load(&w[t][g]); });
            each!(C, c => {
                let x = self.i_splat(bytemuck::cast(x[c][g]));
                each!(T, t => { acc[t][c] = simd!(_mm512_dpbusd_epi32(acc[t][c], word[t], x)); });
            });
        }
    }

    #[inline(always)]
    fn i_tiles(self, w: Self::I, zero: i32) -> Self::I {
        simd!(_mm512_sub_epi8(w, _mm512_set1_epi8(zero as i8)))
    }
    #[inline(always)]
    unsafe fn tiles_open(self, columns: usize, words: usize) {
        assert!(TILES, "no matrix unit");
        // SAFETY: the unit is there, as checked.
        unsafe { amx::open(columns, words) }
    }
    #[inline(always)]
    unsafe fn tiles_start<const R: usize>(self, w: &[[u8; 64]; 8], x: &[ActBlock], word: usize) {
        // SAFETY: the caller keeps the promises of the trait, which are those of `amx`.
        unsafe { amx::start::<R>(w, x, word) }
    }
    #[inline(always)]
    unsafe fn tiles_finish<const R: usize>(self, out: &mut TileSums) {
        // SAFETY: as above.
        unsafe { amx::finish::<R>(out) }
    }
    #[inline(always)]
    unsafe fn tiles_close(self) {
        // SAFETY: as above.
        unsafe { amx::close() }
    }
}
