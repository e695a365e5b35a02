//! Keys and values in blocks of 8 bits: 32 channels share a scale.
//!
//! ```text
//! for each KV head of a tile, b = channels / 32, rounded up:
//!   K  scales  [4][b][16]            halves: sixteen positions side by side
//!      words   [4][b][8][16][4]      of each of them four channels: as weights lie, with positions for rows
//!   V  scales  [b][64]               halves: positions side by side
//!      values  [64][32 b]            position by position: channels side by side
//! ```
//!
//! `d = max|x| / 127`, `q = round_ties_even(x * (1 / d))`, as of activations; what is kept of `d` is rounded to a half float. A
//! block with a NaN or an infinity has a NaN for its scale: so nothing that was not finite looks as if it were.

use super::elem::Rows;
use super::{Elem, KvShape, LINE, TILE};
use crate::format::SUB;
use crate::isa::{Isa, load_tail};
use crate::op::quantize::{ActBlock, block};

/// Positions whose words lie side by side.
const SIDE: usize = 16;

/// Where the parts of one head of a tile lie, in bytes.
#[derive(Clone, Copy)]
struct Parts {
    /// Blocks of a key and of a value.
    k_blocks: usize,
    v_blocks: usize,
    words: usize,
    v_scales: usize,
    values: usize,
}

impl Parts {
    #[inline(always)]
    fn new(shape: &KvShape) -> Self {
        let (k_blocks, v_blocks) = (shape.k_pad() / SUB, shape.v_pad() / SUB);
        let words = 2 * k_blocks * TILE;
        let v_scales = words + k_blocks * SUB * TILE;
        Self { k_blocks, v_blocks, words, v_scales, values: v_scales + 2 * v_blocks * TILE }
    }
}

/// The keys of one head of a tile: scales and words of sixteen positions and 32 channels, `[4][blocks]` of both.
#[derive(Clone, Copy)]
pub(crate) struct Keys<'a> {
    pub scales: &'a [[u16; SIDE]],
    pub words: &'a [[[u8; 64]; 8]],
}

/// The values of one head of a tile.
#[derive(Clone, Copy)]
pub(crate) struct Values<'a> {
    /// `[blocks]`
    pub scales: &'a [[u16; TILE]],
    /// `[64][v_pad]`
    pub rows: &'a [i8],
}

/// A head's keys, which come first.
#[inline(always)]
pub(crate) fn keys<'a>(shape: &KvShape, keys: &'a [i8]) -> Keys<'a> {
    let (scales, words) = keys.split_at(Parts::new(shape).words);
    Keys { scales: bytemuck::cast_slice(scales), words: bytemuck::cast_slice(words) }
}

/// A head's values, which follow.
#[inline(always)]
pub(crate) fn values<'a>(shape: &KvShape, values: &'a [i8]) -> Values<'a> {
    let at = Parts::new(shape);
    let (scales, rows) = values.split_at(at.values - at.v_scales);
    Values { scales: bytemuck::cast_slice(scales), rows }
}

/// The block of up to 32 values, the others 0.
#[inline(always)]
pub(crate) fn quantized<S: Isa>(s: S, x: &[f32]) -> ActBlock {
    let (lo, hi) = x.split_at(x.len().min(16));
    match block(s, load_tail(s, lo), load_tail(s, hi)) {
        Ok(block) => block,
        Err(_) => ActBlock::new(f32::NAN, [[0; 4]; 8]),
    }
}

impl Elem for i8 {
    const IN_BLOCKS: bool = true;

    #[inline(always)]
    fn load<S: Isa>(s: S, p: &[Self; 16]) -> S::F {
        s.i_to_f(s.i_load_i8(p))
    }

    #[inline(always)]
    fn put<S: Isa>(s: S, shape: &KvShape, head: &mut [Self], at: usize, rows: &Rows<'_>) {
        let parts = Parts::new(shape);
        let (keys, values) = head.split_at_mut(parts.v_scales);
        let (scales, words) = keys.split_at_mut(parts.words);
        let mut half = [0; 16];
        let scales: &mut [[u16; SIDE]] = bytemuck::cast_slice_mut(scales);
        let words: &mut [[[[i8; 4]; SIDE]; 8]] = bytemuck::cast_slice_mut(words);
        for b in 0..parts.k_blocks {
            let range = b * SUB..shape.k_dim.min((b + 1) * SUB);
            for i in 0..rows.n {
                let (block, at) = (quantized(s, rows.key(i, range.clone())), at + i);
                let to = at / SIDE * parts.k_blocks + b;
                s.f_store_f16(&mut half, s.f_splat(block.d));
                scales[to][at % SIDE] = half[0];
                for (words, q) in words[to].iter_mut().zip(block.q) {
                    words[at % SIDE] = q;
                }
            }
        }
        let (scales, values) = values.split_at_mut(parts.values - parts.v_scales);
        let scales: &mut [[u16; TILE]] = bytemuck::cast_slice_mut(scales);
        for i in 0..rows.n {
            let row = &mut values[(at + i) * parts.v_blocks * SUB..][..parts.v_blocks * SUB];
            let v = rows.value(i, 0..shape.v_dim);
            for ((v, scales), row) in v.chunks(SUB).zip(&mut *scales).zip(row.as_chunks_mut::<SUB>().0) {
                let block = quantized(s, v);
                s.f_store_f16(&mut half, s.f_splat(block.d));
                scales[at + i] = half[0];
                *row = bytemuck::cast(block.q);
            }
        }
    }

    fn each_line(shape: &KvShape, head: &[Self], at: usize, f: impl Fn(*const Self)) {
        let parts = Parts::new(shape);
        let block = |b: usize| at / SIDE * parts.k_blocks + b;
        for b in 0..parts.k_blocks {
            f(&raw const head[2 * (block(b) * SIDE + at % SIDE)]);
            (0..8).for_each(|g| f(&raw const head[parts.words + ((block(b) * 8 + g) * SIDE + at % SIDE) * 4]));
        }
        (0..parts.v_blocks).for_each(|b| f(&raw const head[parts.v_scales + 2 * (b * TILE + at)]));
        let row = parts.v_blocks * SUB;
        head[parts.values + at * row..][..row].chunks(LINE).for_each(|v| f(v.as_ptr()));
    }
}

#[cfg(test)]
mod tests {
    use super::super::{KvLayer, KvType, Tiles};
    use super::*;
    use crate::isa::CpuIsa;
    use crate::reference;
    use crate::testing::Lcg;

    #[test]
    fn positions_lie_where_the_drawing_says_on_every_isa() {
        let mut rng = Lcg(73);
        for (heads, k_dim, v_dim) in [(1, 1, 1), (2, 32, 64), (3, 33, 15), (1, 80, 100)] {
            let shape = KvShape { kind: KvType::Q8_0, heads, k_dim, v_dim };
            let (n, kw, vw) = (130, heads * k_dim, heads * v_dim);
            let (mut k, mut v) = (rng.floats(n * kw), rng.floats(n * vw));
            // Ties, nothing at all, and what no half float holds.
            (k[0], v[0]) = (0.5, -127.0);
            k[kw..2 * kw].fill(0.0);
            v[vw..2 * vw].fill(1e-41);
            k[2 * kw] = 70000.0;
            for isa in CpuIsa::available() {
                let mut layer = KvLayer::new(shape);
                for part in [0..1, 1..60, 60..130] {
                    let (k, v) = (&k[part.start * kw..part.end * kw], &v[part.start * vw..part.end * vw]);
                    layer.expect();
                    layer.append(isa, k, v).unwrap();
                }
                assert_eq!(layer.bytes(), 3 * shape.tile_bytes());
                let Tiles::Q8_0(tiles) = &layer.tiles else { unreachable!() };
                for pos in 0..n {
                    for h in 0..heads {
                        let head = &tiles[pos / TILE][h * i8::head_len(&shape)..][..i8::head_len(&shape)];
                        let (k_part, v_part) = head.split_at(i8::keys_len(&shape));
                        let (keys, values) = (keys(&shape, k_part), values(&shape, v_part));
                        let (blocks, at) = (shape.k_pad() / 32, pos % TILE);
                        let half = |bits: u16| half::f16::from_bits(bits).to_f32();
                        let (want, scales) = reference::cached(KvType::Q8_0, &k[(pos * heads + h) * k_dim..][..k_dim]);
                        for d in 0..32 * blocks {
                            let i = at / 16 * blocks + d / 32;
                            let got = keys.words[i][d % 32 / 4][at % 16 * 4 + d % 4] as i8;
                            assert_eq!(f32::from(got), want.get(d).copied().unwrap_or(0.0), "{isa:?} {pos} {d}");
                            assert_eq!(half(keys.scales[i][at % 16]), scales[d / 32]);
                        }
                        let (want, scales) = reference::cached(KvType::Q8_0, &v[(pos * heads + h) * v_dim..][..v_dim]);
                        for c in 0..shape.v_pad() {
                            let got = values.rows[at * shape.v_pad() + c];
                            assert_eq!(f32::from(got), want.get(c).copied().unwrap_or(0.0), "{isa:?} {pos} {c}");
                            assert_eq!(half(values.scales[c / 32][at]), scales[c / 32]);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_not_finite_stays_so() {
        let shape = KvShape { kind: KvType::Q8_0, heads: 1, k_dim: 40, v_dim: 40 };
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for isa in CpuIsa::available() {
                let (mut k, mut v) = ([1.0; 40], [1.0; 40]);
                (k[35], v[3]) = (bad, bad);
                let mut layer = KvLayer::new(shape);
                layer.append(isa, &k, &v).unwrap();
                let Tiles::Q8_0(tiles) = &layer.tiles else { unreachable!() };
                let (k_part, v_part) = tiles[0].split_at(i8::keys_len(&shape));
                let nan = |bits: u16| half::f16::from_bits(bits).is_nan();
                let keys = keys(&shape, k_part).scales;
                assert!(!nan(keys[0][0]) && nan(keys[1][0]));
                let values = values(&shape, v_part).scales;
                assert!(nan(values[0][0]) && !nan(values[1][0]));
            }
        }
    }
}
