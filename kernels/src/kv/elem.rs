//! What tiles are made of.

use super::{KvShape, LINE, TILE};
use crate::isa::{Isa, load_tail};
use std::ops::Range;

/// An element of the cache.
pub(crate) trait Elem: bytemuck::Pod + Send + Sync {
    /// Whether they lie in blocks, whose scales [`load`](Elem::load) leaves out.
    const IN_BLOCKS: bool = false;

    /// Sixteen of them.
    fn load<S: Isa>(s: S, p: &[Self; 16]) -> S::F;

    /// Stores `rows` from position `at` of a tile's head on.
    fn put<S: Isa>(s: S, shape: &KvShape, head: &mut [Self], at: usize, rows: &Rows<'_>);

    /// Where the key and the value of position `at` lie, by a byte of each cache line.
    fn each_line(shape: &KvShape, head: &[Self], at: usize, f: impl Fn(*const Self));

    /// Elements of one head of a tile.
    #[inline(always)]
    fn head_len(shape: &KvShape) -> usize {
        shape.head_bytes() / size_of::<Self>()
    }

    /// Those of its keys; the values follow.
    #[inline(always)]
    fn keys_len(shape: &KvShape) -> usize {
        shape.keys_bytes() / size_of::<Self>()
    }
}

/// A head's keys and values of `n` positions.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub n: usize,
    /// From the first position's key and value on, each with how far it is from one position to the next.
    pub k: (&'a [f32], usize),
    pub v: (&'a [f32], usize),
}

impl<'a> Rows<'a> {
    /// Channels `range` of a key.
    #[inline(always)]
    pub fn key(&self, i: usize, range: Range<usize>) -> &'a [f32] {
        &self.k.0[i * self.k.1..][range]
    }

    /// The same of a value.
    #[inline(always)]
    pub fn value(&self, i: usize, range: Range<usize>) -> &'a [f32] {
        &self.v.0[i * self.v.1..][range]
    }
}

/// A float.
trait Float: bytemuck::Pod + Send + Sync {
    fn load<S: Isa>(s: S, p: &[Self; 16]) -> S::F;

    fn store<S: Isa>(s: S, p: &mut [Self; 16], v: S::F);
}

impl Float for f32 {
    #[inline(always)]
    fn load<S: Isa>(s: S, p: &[Self; 16]) -> S::F {
        s.f_load(p)
    }

    #[inline(always)]
    fn store<S: Isa>(s: S, p: &mut [Self; 16], v: S::F) {
        s.f_store(p, v);
    }
}

impl Float for u16 {
    #[inline(always)]
    fn load<S: Isa>(s: S, p: &[Self; 16]) -> S::F {
        s.f_load_f16(p)
    }

    #[inline(always)]
    fn store<S: Isa>(s: S, p: &mut [Self; 16], v: S::F) {
        s.f_store_f16(p, v);
    }
}

impl<E: Float> Elem for E {
    #[inline(always)]
    fn load<S: Isa>(s: S, p: &[Self; 16]) -> S::F {
        Float::load(s, p)
    }

    #[inline(always)]
    fn put<S: Isa>(s: S, shape: &KvShape, head: &mut [Self], at: usize, rows: &Rows<'_>) {
        let (keys, values) = head.split_at_mut(shape.k_dim * TILE);
        let mut lanes = [E::zeroed(); 16];
        // Sixteen channels of all positions before the next: their lines stay in the nearest cache meanwhile.
        for (c, keys) in (0..shape.k_dim).step_by(16).zip(keys.chunks_mut(16 * TILE)) {
            for i in 0..rows.n {
                E::store(s, &mut lanes, load_tail(s, rows.key(i, c..shape.k_dim.min(c + 16))));
                for (keys, k) in keys.chunks_exact_mut(TILE).zip(&lanes) {
                    keys[at + i] = *k;
                }
            }
        }
        for i in 0..rows.n {
            let values = values[(at + i) * shape.v_pad()..].as_chunks_mut::<16>().0;
            for (v, values) in rows.value(i, 0..shape.v_dim).chunks(16).zip(values) {
                // Where channels end within the sixteen, zeros follow.
                E::store(s, values, load_tail(s, v));
            }
        }
    }

    fn each_line(shape: &KvShape, head: &[Self], at: usize, f: impl Fn(*const Self)) {
        let (keys, values) = head.split_at(shape.k_dim * TILE);
        keys.chunks_exact(TILE).for_each(|k| f(&raw const k[at]));
        values[at * shape.v_pad()..][..shape.v_pad()].chunks(LINE / size_of::<E>()).for_each(|v| f(v.as_ptr()));
    }
}
