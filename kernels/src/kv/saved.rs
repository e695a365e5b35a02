//! The tiles of a layer as bytes, for who keeps them elsewhere and brings them back.

use super::{KvFull, KvLayer, TILE, Tile, Tiles};

impl KvLayer {
    /// The bytes of tile `i`, as they lie in memory; `None` where it was given back, or never was.
    pub fn tile(&self, i: usize) -> Option<&[u8]> {
        of_any!(&self.tiles, t => t.get(i).filter(|t| !t.is_empty()).map(|t| bytemuck::cast_slice(t)))
    }

    /// Adds a tile behind the others, to be filled with what [`tile`](Self::tile) gave of a layer of the same shape.
    ///
    /// # Errors
    /// There is not enough memory.
    pub fn add_tile(&mut self) -> Result<&mut [u8], KvFull> {
        let tiles = of_any!(&self.tiles, t => t.len()) + 1;
        self.reserve(tiles * TILE)?;
        let last = of_any!(&mut self.tiles, t => t.last_mut().map(|t| bytemuck::cast_slice_mut(t)));
        Ok(last.unwrap_or(&mut []))
    }

    /// Adds one that was given back.
    ///
    /// # Errors
    /// There is not enough memory.
    pub fn add_forgotten(&mut self) -> Result<(), KvFull> {
        of_any!(&mut self.tiles, t => {
            t.try_reserve(1).map_err(|_| KvFull { bytes: size_of::<Tile<u8>>() })?;
            t.push(Tile::default());
        });
        Ok(())
    }

    /// So many positions are in the tiles that were added.
    ///
    /// # Panics
    /// When these are not as many as that takes.
    pub fn set_len(&mut self, len: usize) {
        let tiles = of_any!(&self.tiles, t => t.len());
        assert_eq!(tiles, len.div_ceil(TILE), "{len} positions");
        self.len = len;
    }
}

#[cfg(test)]
mod tests {
    use super::super::{KvLayer, KvShape, KvType};
    use crate::isa::CpuIsa;
    use crate::testing::Lcg;

    #[test]
    fn a_layer_comes_back_as_it_was() {
        let mut rng = Lcg(3);
        for kind in KvType::ALL {
            let shape = KvShape { kind, heads: 2, k_dim: 40, v_dim: 24 };
            let mut layer = KvLayer::new(shape);
            layer.append(CpuIsa::best(), &rng.floats(200 * 80), &rng.floats(200 * 48)).unwrap();
            layer.forget(0..130);
            let mut other = KvLayer::new(shape);
            for i in 0..4 {
                match layer.tile(i) {
                    Some(tile) => other.add_tile().unwrap().copy_from_slice(tile),
                    None => other.add_forgotten().unwrap(),
                }
            }
            other.set_len(200);
            assert!(layer.tile(4).is_none() && (0..4).all(|i| layer.tile(i) == other.tile(i)));
            assert!(other.holds(128..200) && !other.holds(127..200));
            // Both go on alike.
            let (k, v) = (rng.floats(80), rng.floats(48));
            layer.append(CpuIsa::best(), &k, &v).unwrap();
            other.append(CpuIsa::best(), &k, &v).unwrap();
            assert_eq!((layer.tile(3), layer.len()), (other.tile(3), other.len()));
        }
    }
}
