//! New positions on their way to the tiles of a layer.

use super::elem::Rows;
use super::{Elem, KvShape, TILE, Tile};
use crate::isa::{Isa, Kernel};

/// Positions `from..from + n` on their way to the cache.
#[derive(Clone, Copy)]
pub(super) struct Positions<'a> {
    pub shape: KvShape,
    pub from: usize,
    pub n: usize,
    pub k: &'a [f32],
    pub v: &'a [f32],
}

impl<'a> Positions<'a> {
    /// Those that get some, of a layer's `tiles`.
    pub fn tiles<'t, E>(&self, tiles: &'t mut [Tile<E>]) -> &'t mut [Tile<E>] {
        &mut tiles[self.from / TILE..(self.from + self.n).div_ceil(TILE)]
    }

    /// What the `i`th of them gets.
    pub fn part<'t, E>(&self, i: usize, tile: &'t mut Tile<E>) -> Append<'a, 't, E> {
        let first = (self.from / TILE + i) * TILE;
        let range = [first.max(self.from), (first + TILE).min(self.from + self.n)];
        let cut = |rows: &'a [f32], width: usize| &rows[(range[0] - self.from) * width..(range[1] - self.from) * width];
        let KvShape { heads, k_dim, v_dim, .. } = self.shape;
        Append {
            tile,
            shape: self.shape,
            first: range[0] % TILE,
            k: cut(self.k, heads * k_dim),
            v: cut(self.v, heads * v_dim),
        }
    }
}

/// Stores positions of one tile, from its position `first` on.
pub(super) struct Append<'a, 't, E> {
    tile: &'t mut Tile<E>,
    shape: KvShape,
    first: usize,
    k: &'a [f32],
    v: &'a [f32],
}

impl<E: Elem> Kernel for Append<'_, '_, E> {
    type Out = ();

    #[inline(always)]
    fn call<S: Isa>(self, s: S) {
        let KvShape { heads, k_dim, v_dim, .. } = self.shape;
        let n = self.k.len() / (heads * k_dim).max(1);
        if n == 0 {
            return;
        }
        for (h, head) in self.tile.chunks_exact_mut(E::head_len(&self.shape)).enumerate() {
            let k = (&self.k[h * k_dim..], heads * k_dim);
            let v = (&self.v[h * v_dim..], heads * v_dim);
            E::put(s, &self.shape, head, self.first, &Rows { n, k, v });
        }
    }
}
