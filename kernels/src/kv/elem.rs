//! What tiles are made of.

use super::{KvShape, LINE, TILE};
use crate::isa::{Isa, load_tail};

/// An element of the cache.
pub(crate) trait Elem: bytemuck::Pod + Send + Sync {
    /// Whether they lie in blocks, whose scales [`load`](Elem::load) leaves out.
    const IN_BLOCKS: bool = false;

    /// Sixteen of them.
    fn load<S: Isa>(s: S, p: &[Self; 16]) -> S::F;

    /// Stores the key `k` and the value `v` of position `at` of a tile's head.
    fn put<S: Isa>(s: S, shape: &KvShape, head: &mut [Self], at: usize, k: &[f32], v: &[f32]);

    /// Where those lie, by a byte of each cache line.
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

/// A float.
trait Float: bytemuck::Pod {
    fn store<S: Isa>(s: S, p: &mut [Self; 16], v: S::F);
}

impl Float for f32 {
    #[inline(always)]
    fn store<S: Isa>(s: S, p: &mut [Self; 16], v: S::F) {
        s.f_store(p, v);
    }
}

impl Float for u16 {
    #[inline(always)]
    fn store<S: Isa>(s: S, p: &mut [Self; 16], v: S::F) {
        s.f_store_f16(p, v);
    }
}

impl Elem for f32 {
    #[inline(always)]
    fn load<S: Isa>(s: S, p: &[Self; 16]) -> S::F {
        s.f_load(p)
    }

    #[inline(always)]
    fn put<S: Isa>(s: S, shape: &KvShape, head: &mut [Self], at: usize, k: &[f32], v: &[f32]) {
        put(s, shape, head, at, k, v);
    }

    fn each_line(shape: &KvShape, head: &[Self], at: usize, f: impl Fn(*const Self)) {
        each_line(shape, head, at, f);
    }
}

impl Elem for u16 {
    #[inline(always)]
    fn load<S: Isa>(s: S, p: &[Self; 16]) -> S::F {
        s.f_load_f16(p)
    }

    #[inline(always)]
    fn put<S: Isa>(s: S, shape: &KvShape, head: &mut [Self], at: usize, k: &[f32], v: &[f32]) {
        put(s, shape, head, at, k, v);
    }

    fn each_line(shape: &KvShape, head: &[Self], at: usize, f: impl Fn(*const Self)) {
        each_line(shape, head, at, f);
    }
}

/// [`Elem::put`] of floats.
#[inline(always)]
fn put<S: Isa, E: Float>(s: S, shape: &KvShape, head: &mut [E], at: usize, k: &[f32], v: &[f32]) {
    let (keys, values) = head.split_at_mut(shape.k_dim * TILE);
    let mut lanes = [E::zeroed(); 16];
    for (k, keys) in k.chunks(16).zip(keys.chunks_mut(16 * TILE)) {
        E::store(s, &mut lanes, load_tail(s, k));
        for (keys, k) in keys.chunks_exact_mut(TILE).zip(&lanes) {
            keys[at] = *k;
        }
    }
    for (v, values) in v.chunks(16).zip(values[at * shape.v_pad()..].as_chunks_mut::<16>().0) {
        // Where channels end within the sixteen, zeros follow.
        E::store(s, values, load_tail(s, v));
    }
}

/// [`Elem::each_line`] of floats.
fn each_line<E>(shape: &KvShape, head: &[E], at: usize, f: impl Fn(*const E)) {
    let (keys, values) = head.split_at(shape.k_dim * TILE);
    keys.chunks_exact(TILE).for_each(|k| f(&raw const k[at]));
    values[at * shape.v_pad()..][..shape.v_pad()].chunks(LINE / size_of::<E>()).for_each(|v| f(v.as_ptr()));
}
