//! Memory for the tiles of all layers of a sequence, and for the buffers of a step: slabs of the operating system's pages,
//! in huge pages where it is much.
//!
//! A long context is read whole for every token. In pages of 4 KiB the walks to find them take longer than the reads:
//! a single thread reads 14 GB/s from huge pages and 8 from small ones. A tile of one layer is far smaller than a huge page,
//! so the layers take their tiles from common slabs, tile index by tile index: what is taken is what is used.

use super::KvFull;
use crate::pages::{HUGE, Pages};
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// The first slab: a short context of a small model takes no more.
const FIRST: usize = 256 << 10;
/// Tiles begin at multiples of this.
const ALIGN: usize = 128;

/// Where the layers of a sequence get their tiles from. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pool(Arc<Mutex<Vec<Weak<Slab>>>>);

/// One mapping, which lives as long as a tile in it.
#[derive(Debug)]
struct Slab {
    /// The mapping's first usable byte, and how many follow.
    start: usize,
    len: usize,
    state: Mutex<State>,
    /// Only kept: all accesses go through tiles.
    _pages: Pages,
}

#[derive(Debug, Default)]
struct State {
    /// Bytes given out from the front.
    used: usize,
    /// Places of tiles that were given back.
    free: Vec<[usize; 2]>,
}

fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    /// A tile of `n` elements, all zero bits.
    pub fn take<E: bytemuck::Zeroable + Copy>(&self, n: usize) -> Result<Tile<E>, KvFull> {
        let bytes = n.checked_mul(size_of::<E>()).and_then(|b| b.max(1).checked_next_multiple_of(ALIGN));
        let bytes = bytes.ok_or(KvFull { bytes: usize::MAX })?;
        let mut slabs = lock(&self.0);
        slabs.retain(|s| s.strong_count() > 0);
        // The newest first: that is where there is room most often.
        let found = slabs.iter().rev().filter_map(Weak::upgrade).find_map(|slab| {
            let (at, used) = slab.place(bytes)?;
            Some((slab, at, used))
        });
        let (slab, at, used) = match found {
            Some(found) => found,
            None => {
                let len = (FIRST << slabs.len().min(8)).min(HUGE).max(bytes);
                let slab = Arc::new(Slab::new(len).ok_or(KvFull { bytes: len })?);
                slabs.push(Arc::downgrade(&slab));
                let (at, used) = slab.place(bytes).ok_or(KvFull { bytes })?;
                (slab, at, used)
            }
        };
        if used {
            slab.clear(at, bytes);
        }
        Ok(Tile { at: slab.start + at, slab: Some(slab), n, bytes, element: PhantomData })
    }
}

/// `count` tiles of `n` elements each, all zero bits, side by side in memory of their own: for tiles so large that few fit
/// into a slab of the usual size.
pub fn together<E: bytemuck::Zeroable + Copy>(n: usize, count: usize) -> Result<Vec<Tile<E>>, KvFull> {
    let bytes = n.checked_mul(size_of::<E>()).and_then(|b| b.max(1).checked_next_multiple_of(ALIGN));
    let all = bytes.and_then(|b| b.checked_mul(count)).ok_or(KvFull { bytes: usize::MAX })?;
    let bytes = bytes.unwrap_or(usize::MAX);
    let slab = Arc::new(Slab::new(all).ok_or(KvFull { bytes: all })?);
    let tile = |_| {
        let (at, _) = slab.place(bytes).ok_or(KvFull { bytes })?;
        Ok(Tile { at: slab.start + at, slab: Some(slab.clone()), n, bytes, element: PhantomData })
    };
    (0..count).map(tile).collect()
}

/// Memory of a size known beforehand, to be cut into buffers: in huge pages where it is much.
#[derive(Debug)]
pub struct Arena(Arc<Slab>);

impl Arena {
    /// One of `bytes` bytes, all zero. `None` where memory does not suffice.
    pub fn new(bytes: usize) -> Option<Self> {
        Slab::new(bytes.max(1)).map(|slab| Self(Arc::new(slab)))
    }

    /// Bytes that a buffer of `n` elements takes.
    pub fn bytes_of<E>(n: usize) -> usize {
        n.checked_mul(size_of::<E>()).and_then(|b| b.checked_next_multiple_of(ALIGN)).unwrap_or(usize::MAX)
    }

    /// A buffer of `n` elements, all zero bits; `None` where they do not fit any more.
    pub fn take<E: bytemuck::Zeroable + Copy>(&self, n: usize) -> Option<Tile<E>> {
        assert!(align_of::<E>() <= ALIGN);
        let bytes = Self::bytes_of::<E>(n);
        let (at, used) = self.0.place(bytes)?;
        if used {
            self.0.clear(at, bytes);
        }
        Some(Tile { at: self.0.start + at, slab: Some(self.0.clone()), n, bytes, element: PhantomData })
    }
}

impl Slab {
    fn new(len: usize) -> Option<Self> {
        let pages = Pages::zeroed(len, ALIGN)?;
        Some(Self { start: pages.address(), len, state: Mutex::default(), _pages: pages })
    }

    /// A place for `bytes`, and whether it was used before.
    fn place(&self, bytes: usize) -> Option<(usize, bool)> {
        let mut state = lock(&self.state);
        if let Some(i) = state.free.iter().position(|f| f[1] == bytes) {
            return Some((state.free.swap_remove(i)[0], true));
        }
        let at = state.used;
        (self.len - at >= bytes).then(|| {
            state.used += bytes;
            (at, false)
        })
    }
}

impl Slab {
    /// Makes a place that [`place`](Self::place) has given out, and that has no owner yet, zero again.
    fn clear(&self, at: usize, bytes: usize) {
        // SAFETY: the place lies in the slab, and nobody has it: it was given back and is handed out after this.
        unsafe { std::ptr::write_bytes((self.start + at) as *mut u8, 0, bytes) }
    }
}

/// Elements in a slab that belong to one owner; the memory lives as long as one of them.
#[derive(Debug)]
pub struct Tile<E> {
    /// None for no elements.
    slab: Option<Arc<Slab>>,
    /// The address of the first one.
    at: usize,
    n: usize,
    bytes: usize,
    element: PhantomData<E>,
}

/// One without elements, which takes no memory.
impl<E> Default for Tile<E> {
    fn default() -> Self {
        Self { slab: None, at: align_of::<E>(), n: 0, bytes: 0, element: PhantomData }
    }
}

impl<E> Deref for Tile<E> {
    type Target = [E];
    fn deref(&self) -> &[E] {
        // SAFETY: from `at` on, `bytes` lie in the slab, whose mapping lives as long as this tile, and belongs to no other tile
        // until this one is dropped; it is aligned for any element; the mapping began as zeros, and only values of `E`
        // were stored there since, or others before this tile and then zeros. Without a slab
        // there are no elements, and the address is aligned.
        unsafe { std::slice::from_raw_parts(self.at as *const E, self.n) }
    }
}

impl<E> DerefMut for Tile<E> {
    fn deref_mut(&mut self) -> &mut [E] {
        // SAFETY: as above; this tile is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.at as *mut E, self.n) }
    }
}

impl<E> Drop for Tile<E> {
    fn drop(&mut self) {
        if let Some(slab) = &self.slab {
            lock(&slab.state).free.push([self.at - slab.start, self.bytes]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_are_zero_apart_and_used_again() {
        let pool = Pool::default();
        let mut tiles: Vec<Tile<u16>> = (0..200).map(|_| pool.take(5000).unwrap()).collect();
        assert!(tiles.iter().all(|t| t.len() == 5000 && t.iter().all(|v| *v == 0)));
        for (i, t) in tiles.iter_mut().enumerate() {
            t.fill(i as u16 + 1);
        }
        assert!(tiles.iter().enumerate().all(|(i, t)| t.iter().all(|v| *v == i as u16 + 1)));
        let slabs = || lock(&pool.0).iter().filter(|s| s.strong_count() > 0).count();
        let before = slabs();
        tiles.drain(50..150);
        let again: Vec<Tile<u16>> = (0..100).map(|_| pool.clone().take(5000).unwrap()).collect();
        assert!(again.iter().all(|t| t.iter().all(|v| *v == 0)) && slabs() == before);
        drop((tiles, again));
        assert_eq!(slabs(), 0);
    }

    #[test]
    fn buffers_fill_an_arena() {
        let bytes = Arena::bytes_of::<u8>(1) + Arena::bytes_of::<f32>(33) + Arena::bytes_of::<[u64; 2]>(3 << 17);
        assert_eq!(bytes, 128 + 256 + (6 << 20));
        let arena = Arena::new(bytes).unwrap();
        let (mut a, mut b) = (arena.take::<u8>(1).unwrap(), arena.take::<f32>(33).unwrap());
        let mut c = arena.take::<[u64; 2]>(3 << 17).unwrap();
        assert!(a[..] == [0] && b.iter().all(|v| *v == 0.0) && c.iter().all(|v| *v == [0; 2]));
        assert!(arena.take::<u8>(1).is_none() && arena.take::<u64>(usize::MAX / 4).is_none());
        (a[0], b[32]) = (1, 1.0);
        c.fill([7; 2]);
        assert!((a.len(), b.len(), a[0], b[32], b[0]) == (1, 33, 1, 1.0, 0.0));
        // What is given back is there again, with zeros.
        drop(b);
        assert!(arena.take::<u8>(1).is_none() && arena.take::<f32>(33).unwrap().iter().all(|v| *v == 0.0));
        drop(arena);
        assert!(c.iter().all(|v| *v == [7; 2]));
        assert!(Arena::new(usize::MAX).is_none() && Arena::new(0).unwrap().take::<f32>(0).unwrap().is_empty());
    }

    #[test]
    fn sizes_are_checked() {
        let pool = Pool::default();
        assert!(pool.take::<f32>(usize::MAX).is_err() && pool.take::<f32>(usize::MAX / 4 - 100).is_err());
        assert_eq!(pool.take::<f32>(0).unwrap().len(), 0);
        assert!(together::<f32>(usize::MAX / 8, 3).is_err() && together::<u16>(1 << 40, 1 << 30).is_err());
        let tiles = together::<f32>(1000, 3).unwrap();
        assert!(tiles.iter().all(|t| t.len() == 1000 && t.iter().all(|v| *v == 0.0)));
        let beside = |t: &[Tile<f32>]| t[1].at - t[0].at == 4096;
        assert!(tiles.windows(2).all(beside));
        assert!(Tile::<f32>::default().is_empty() && Tile::<u16>::default().is_empty());
        // Larger than a slab.
        assert_eq!(pool.take::<f32>(3 << 20).unwrap().len(), 3 << 20);
    }
}
