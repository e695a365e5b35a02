//! The key/value cache of one layer of one sequence, in tiles of positions.
//!
//! ```text
//! tile t holds positions 64 t .. 64 t + 64; for each KV head:
//!   K  [k_dim][64]     channel by channel: 64 positions lie side by side, the lanes of the score loop
//!   V  [64][v_pad]     position by position: channels side by side, the lanes of the value loop
//! ```
//!
//! `v_pad` is `v_dim` rounded up to 16 lanes. Blocks of 8 bits lie otherwise: see `blocks`. Memory is taken a tile at a time, as
//! positions arrive (see `slab`).

/// The same for tiles of any elements.
macro_rules! of_any {
    ($tiles:expr, $t:ident => $body:expr) => {
        match $tiles {
            Tiles::F16($t) => $body,
            Tiles::F32($t) => $body,
            Tiles::Q8_0($t) => $body,
        }
    };
}

mod append;
pub(crate) mod blocks;
mod elem;
mod saved;
pub(crate) mod slab;

use crate::format::SUB;
use crate::isa::{CpuIsa, prefetch_write};
use crate::team::Crew;
use append::Positions;
pub(crate) use elem::Elem;
use slab::Pool;
pub(crate) use slab::Tile;
use std::ops::Range;

/// Positions in a tile. Part of the numeric contract: softmax partials are merged tile by tile.
pub const TILE: usize = 64;

/// Bytes of a cache line.
pub(crate) const LINE: usize = 64;

/// Number format of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum KvType {
    /// IEEE half floats.
    #[default]
    F16,
    /// 4-byte floats.
    F32,
    /// Blocks of 32 channels: 8-bit integers and a half float for their scale, as in the weight format of that name. 53 % of
    /// the memory of half floats. Queries are quantized to 8 bits, too.
    Q8_0,
}

impl KvType {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::F16, Self::F32, Self::Q8_0];

    /// The customary name, in small letters.
    pub fn name(self) -> &'static str {
        match self {
            Self::F16 => "f16",
            Self::F32 => "f32",
            Self::Q8_0 => "q8_0",
        }
    }

    /// Bytes of so many channels, without padding.
    pub fn bytes_of(self, channels: usize) -> usize {
        match self {
            Self::F16 => 2 * channels,
            Self::F32 => 4 * channels,
            Self::Q8_0 => channels + 2 * channels.div_ceil(SUB),
        }
    }
}

/// Shape of a layer's cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KvShape {
    /// Number format.
    pub kind: KvType,
    /// KV heads.
    pub heads: usize,
    /// Channels of a key.
    pub k_dim: usize,
    /// Channels of a value.
    pub v_dim: usize,
}

impl KvShape {
    /// Channels of a key, padding included.
    pub(crate) fn k_pad(&self) -> usize {
        if self.kind == KvType::Q8_0 { self.k_dim.next_multiple_of(SUB) } else { self.k_dim }
    }

    /// Channels of a value, padding included.
    pub(crate) fn v_pad(&self) -> usize {
        self.v_dim.next_multiple_of(if self.kind == KvType::Q8_0 { SUB } else { 16 })
    }

    /// Bytes of a head's keys in a tile.
    pub(crate) fn keys_bytes(&self) -> usize {
        self.kind.bytes_of(self.k_pad()) * TILE
    }

    /// Bytes of one head of a tile: keys, then values.
    pub(crate) fn head_bytes(&self) -> usize {
        self.keys_bytes() + self.kind.bytes_of(self.v_pad()) * TILE
    }

    /// Bytes that one position of one layer takes, padding included.
    pub fn position_bytes(&self) -> usize {
        self.tile_bytes() / TILE
    }

    /// Bytes of one tile of one layer.
    pub fn tile_bytes(&self) -> usize {
        self.heads * self.head_bytes()
    }
}

/// The memory for another tile could not be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no memory for another {bytes} bytes of key/value cache")]
pub struct KvFull {
    /// How much was asked for.
    pub bytes: usize,
}

#[derive(Debug)]
pub(crate) enum Tiles {
    F16(Vec<Tile<u16>>),
    F32(Vec<Tile<f32>>),
    Q8_0(Vec<Tile<i8>>),
}

/// Keys and values of one layer of one sequence. Where it attends through a window only, the tiles of positions that nothing
/// will see any more can be given back: see [`forget`](Self::forget).
#[derive(Debug)]
pub struct KvLayer {
    shape: KvShape,
    len: usize,
    pub(crate) tiles: Tiles,
    pool: Pool,
}

impl Tiles {
    fn new(kind: KvType) -> Self {
        match kind {
            KvType::F16 => Self::F16(Vec::new()),
            KvType::F32 => Self::F32(Vec::new()),
            KvType::Q8_0 => Self::Q8_0(Vec::new()),
        }
    }

    /// How many hold something.
    fn held(&self) -> usize {
        of_any!(self, t => t.iter().filter(|t| !t.is_empty()).count())
    }

    /// Whether tile `i` holds something.
    fn has(&self, i: usize) -> bool {
        of_any!(self, t => t.get(i).is_some_and(|t| !t.is_empty()))
    }

    /// Gives back the memory of tile `i`.
    fn give_back(&mut self, i: usize) {
        of_any!(self, t => t[i] = Tile::default())
    }
}

impl KvLayer {
    /// An empty cache.
    pub fn new(shape: KvShape) -> Self {
        Self { shape, len: 0, tiles: Tiles::new(shape.kind), pool: Pool::default() }
    }

    /// An empty cache that takes its memory from the same place: another layer of the sequence.
    pub fn sibling(&self, shape: KvShape) -> Self {
        Self { shape, len: 0, tiles: Tiles::new(shape.kind), pool: self.pool.clone() }
    }

    /// The shape given at the start.
    pub fn shape(&self) -> &KvShape {
        &self.shape
    }

    /// Positions held.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Makes room for `len` positions in all.
    pub fn reserve(&mut self, len: usize) -> Result<(), KvFull> {
        let (tiles, bytes) = (len.div_ceil(TILE), self.shape.tile_bytes());
        of_any!(&mut self.tiles, t => grow(&self.pool, t, tiles, bytes))
    }

    /// Fetches what [`append`](Self::append) will write one more position to: a key's channels lie in a cache line each,
    /// and the threads that attended last have them all. A hint, for the thread that will append.
    pub fn expect(&self) {
        of_any!(&self.tiles, tiles => self.fetch(tiles))
    }

    fn fetch<E: Elem>(&self, tiles: &[Tile<E>]) {
        let Some(tile) = tiles.get(self.len / TILE) else { return };
        for head in tile.chunks_exact(E::head_len(&self.shape)) {
            E::each_line(&self.shape, head, self.len % TILE, |line| prefetch_write(line.cast()));
        }
    }

    /// Appends positions: `k` is `[n, heads, k_dim]`, `v` is `[n, heads, v_dim]`.
    ///
    /// # Errors
    /// There is not enough memory; nothing was appended.
    pub fn append(&mut self, isa: CpuIsa, k: &[f32], v: &[f32]) -> Result<(), KvFull> {
        let new = self.admit(k, v)?;
        of_any!(&mut self.tiles, tiles => {
            new.tiles(tiles).iter_mut().enumerate().for_each(|(i, t)| isa.run_lanes(new.part(i, t)));
        });
        self.len += new.n;
        Ok(())
    }

    /// The same, by several threads where several tiles are touched.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn append_with(&mut self, crew: &Crew<'_>, k: &[f32], v: &[f32]) -> Result<(), KvFull> {
        let (new, isa) = (self.admit(k, v)?, crew.isa());
        of_any!(&mut self.tiles, tiles => {
            crew.rows(new.tiles(tiles), 1, true, |_, i, t| isa.run_lanes(new.part(i, &mut t[0])));
        });
        self.len += new.n;
        Ok(())
    }

    /// Room for what is to be appended.
    fn admit<'a>(&mut self, k: &'a [f32], v: &'a [f32]) -> Result<Positions<'a>, KvFull> {
        let (kw, vw) = (self.shape.heads * self.shape.k_dim, self.shape.heads * self.shape.v_dim);
        let n = k.len() / kw.max(1);
        assert!(k.len() == n * kw && v.len() == n * vw, "k [n, heads, k_dim], v [n, heads, v_dim]");
        assert!(self.len.is_multiple_of(TILE) || self.tiles.has(self.len / TILE), "the tile to go on in was forgotten");
        self.reserve(self.len + n)?;
        Ok(Positions { shape: self.shape, from: self.len, n, k, v })
    }

    /// Forgets the positions from `len` on and gives back their memory.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
        let tiles = self.len.div_ceil(TILE);
        of_any!(&mut self.tiles, t => t.truncate(tiles));
    }

    /// Gives back the memory of the tiles that lie wholly within `positions`, from the last one down to one that was given
    /// back before. Attention must not see them again, nor must positions be appended in one of them after going back.
    ///
    /// # Panics
    /// When there are not so many positions.
    pub fn forget(&mut self, positions: Range<usize>) {
        assert!(positions.end <= self.len, "{positions:?} of {}", self.len);
        let tiles = positions.start.div_ceil(TILE)..positions.end / TILE;
        for i in tiles.rev() {
            if !self.tiles.has(i) {
                break;
            }
            self.tiles.give_back(i);
        }
    }

    /// Whether all of `positions` are there.
    pub fn holds(&self, positions: Range<usize>) -> bool {
        positions.end <= self.len && (positions.start / TILE..positions.end.div_ceil(TILE)).all(|i| self.tiles.has(i))
    }

    /// The same keys and values once more, in memory of their own.
    ///
    /// # Errors
    /// There is not enough memory.
    pub fn try_clone(&self) -> Result<Self, KvFull> {
        let mut other = self.sibling(self.shape);
        match (&mut other.tiles, &self.tiles) {
            (Tiles::F16(to), Tiles::F16(from)) => copy(&self.pool, to, from)?,
            (Tiles::F32(to), Tiles::F32(from)) => copy(&self.pool, to, from)?,
            (Tiles::Q8_0(to), Tiles::Q8_0(from)) => copy(&self.pool, to, from)?,
            _ => unreachable!("both were made for one number format"),
        }
        other.len = self.len;
        Ok(other)
    }

    /// Bytes held now.
    pub fn bytes(&self) -> usize {
        self.tiles.held() * self.shape.tile_bytes()
    }
}

fn copy<E: Elem>(pool: &Pool, to: &mut Vec<Tile<E>>, from: &[Tile<E>]) -> Result<(), KvFull> {
    to.try_reserve(from.len()).map_err(|_| KvFull { bytes: size_of_val(from) })?;
    for tile in from {
        let mut copied = if tile.is_empty() { Tile::default() } else { pool.take(tile.len())? };
        copied.copy_from_slice(tile);
        to.push(copied);
    }
    Ok(())
}

fn grow<E: Elem>(pool: &Pool, tiles: &mut Vec<Tile<E>>, want: usize, bytes: usize) -> Result<(), KvFull> {
    while tiles.len() < want {
        let tile = pool.take(bytes / size_of::<E>())?;
        tiles.try_reserve(1).map_err(|_| KvFull { bytes })?;
        tiles.push(tile);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::team::Team;
    use crate::testing::Lcg;

    #[test]
    fn tiles_are_forgotten_copied_and_filled_again() {
        let shape = KvShape { kind: KvType::F32, heads: 1, k_dim: 4, v_dim: 4 };
        let mut layer = KvLayer::new(shape);
        let append = |layer: &mut KvLayer, n: usize| {
            let rows: Vec<f32> = (0..n * 4).map(|i| (layer.len() * 4 + i) as f32).collect();
            layer.append(CpuIsa::best(), &rows, &rows).unwrap();
        };
        let held = |layer: &KvLayer| layer.bytes() / shape.tile_bytes();
        append(&mut layer, 10 * TILE + 7);
        assert!(layer.holds(0..layer.len()) && !layer.holds(0..layer.len() + 1) && held(&layer) == 11);
        // Only whole tiles; nothing happens where there is none.
        layer.forget(TILE - 1..4 * TILE - 1);
        layer.forget(5 * TILE + 1..6 * TILE + 63);
        layer.forget(9..9);
        assert_eq!(held(&layer), 9);
        assert!(layer.holds(0..TILE) && layer.holds(3 * TILE..layer.len()) && !layer.holds(TILE - 1..TILE + 1));
        assert!(layer.holds(2 * TILE..2 * TILE) && !layer.holds(3 * TILE - 1..3 * TILE));
        // Down to what was given back before.
        layer.forget(0..4 * TILE);
        assert_eq!(held(&layer), 8);
        let other = layer.try_clone().unwrap();
        assert_eq!((other.len(), held(&other)), (layer.len(), 8));
        let keys = |layer: &KvLayer, i: usize| match &layer.tiles {
            Tiles::F32(tiles) => tiles[i].to_vec(),
            _ => unreachable!(),
        };
        assert_eq!(keys(&other, 10), keys(&layer, 10));
        assert!(keys(&other, 2).is_empty());
        layer.truncate(4 * TILE + 5);
        append(&mut layer, TILE);
        assert_eq!((layer.len(), held(&layer)), (5 * TILE + 5, 3));
        layer.truncate(0);
        append(&mut layer, 10 * TILE + 7);
        assert!(layer.holds(0..layer.len()));
        assert_eq!(keys(&layer, 10), keys(&other, 10));
    }

    #[test]
    fn positions_lie_where_the_drawing_says_on_every_isa() {
        let mut rng = Lcg(12);
        for (heads, k_dim, v_dim) in [(1, 1, 1), (2, 16, 20), (3, 33, 15)] {
            let (n, kw, vw) = (130, heads * k_dim, heads * v_dim);
            let (mut k, mut v) = (rng.floats(n * kw), rng.floats(n * vw));
            // Ties, a subnormal half, and what becomes infinite.
            (k[0], v[0], k[1], v[1]) = (1.0 + 1.0 / 2048.0, 1.0 + 3.0 / 2048.0, 3e-7, -70000.0);
            for isa in CpuIsa::available() {
                let mut layer = KvLayer::new(KvShape { kind: KvType::F16, heads, k_dim, v_dim });
                for part in [0..1, 1..60, 60..130] {
                    let (k, v) = (&k[part.start * kw..part.end * kw], &v[part.start * vw..part.end * vw]);
                    layer.expect();
                    layer.append(isa, k, v).unwrap();
                }
                layer.expect();
                let mut shared = KvLayer::new(layer.shape);
                Team::new(3, isa)
                    .unwrap()
                    .step(|crew| {
                        shared.append_with(crew, &k[..5 * kw], &v[..5 * vw]).unwrap();
                        shared.append_with(crew, &k[5 * kw..], &v[5 * vw..]).unwrap();
                        shared.append_with(crew, &[], &[]).unwrap();
                    })
                    .unwrap();
                let held = |layer: &KvLayer| match &layer.tiles {
                    Tiles::F16(tiles) => tiles.iter().map(|t| t.to_vec()).collect::<Vec<_>>(),
                    _ => unreachable!(),
                };
                assert_eq!((held(&shared), shared.len()), (held(&layer), layer.len()));
                let (v_pad, Tiles::F16(tiles)) = (layer.shape.v_pad(), &layer.tiles) else { unreachable!() };
                for pos in 0..n {
                    for h in 0..heads {
                        let len = u16::head_len(&layer.shape);
                        let head = &tiles[pos / TILE][h * len..][..len];
                        let half = |x: f32| half::f16::from_f32(x).to_bits();
                        for d in 0..k_dim {
                            assert_eq!(head[d * TILE + pos % TILE], half(k[pos * kw + h * k_dim + d]));
                        }
                        let values = &head[k_dim * TILE + pos % TILE * v_pad..][..v_pad];
                        for (d, got) in values.iter().enumerate() {
                            assert_eq!(*got, if d < v_dim { half(v[pos * vw + h * v_dim + d]) } else { 0 });
                        }
                    }
                }
            }
        }
    }
}
