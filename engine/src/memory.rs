//! How much memory a model takes: the mapped weights, the cache of one full sequence, the scratch of a step.

use crate::config::ModelConfig;
use crate::scratch::Scratch;
use crate::sequence::{WAY_BACK, kv_shape};
use hewn_kernels::KvType;
use hewn_kernels::kv::TILE;
use hewn_loader::Gguf;

/// Bytes by purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// The weights, mapped from the file and shared with the system's page cache.
    pub weights: u64,
    /// The matrices of adapters: mapped from their files, and those in blocks as f32 besides.
    pub adapters: u64,
    /// The key/value cache of one sequence when full. Layers with a window keep what they can still see, and what they could
    /// see at a mark.
    pub kv: u64,
    /// The running states of one sequence, and their copies for a mark and for tokens that are guessed.
    pub states: u64,
    /// The buffers of a step.
    pub scratch: u64,
}

impl Memory {
    pub(crate) fn estimate(gguf: &Gguf, c: &ModelConfig, ctx: usize, kv: KvType, chunk: usize) -> Self {
        let attending = (0..c.caches()).filter(|i| c.attends(*i));
        let tiles = attending.map(|i| {
            let all = ctx.div_ceil(TILE);
            let held = c.window_of(i).map_or(all, |window| all.min(most_tiles(window, chunk)));
            (kv_shape(c, i, kv).tile_bytes() as u64).saturating_mul(held as u64)
        });
        // Where a text is read as a whole, one layer's at a time.
        let tiles: Vec<u64> = if c.causal { tiles.collect() } else { tiles.max().into_iter().collect() };
        let entries = (0..c.layers).filter_map(|i| {
            let tiles = (ctx / c.pooled_of(i)?).div_ceil(TILE);
            Some((kv_shape(c, i, kv).tile_bytes() as u64).saturating_mul(tiles as u64))
        });
        let tiles = tiles.into_iter().chain(entries);
        let index = c.indexer.as_ref().filter(|x| x.chooses(ctx)).map_or(0, |x| {
            let keys = (0..c.layers).filter(|i| x.layers.has(*i)).count().saturating_mul(x.dim);
            (keys.saturating_mul(ctx / x.ratio) as u64).saturating_mul(size_of::<f32>() as u64)
        });
        let states = (0..c.layers).filter_map(|i| c.state_of(i)).map(|s| s.bytes() as u64);
        Self {
            weights: gguf.tensors().iter().map(|t| t.bytes).sum(),
            adapters: 0,
            kv: tiles.fold(index, u64::saturating_add),
            states: states.fold(0, |sum, bytes| 3u64.saturating_mul(bytes).saturating_add(sum)),
            scratch: Scratch::bytes(c, chunk),
        }
    }

    /// The sum.
    pub fn total(&self) -> u64 {
        self.weights
            .saturating_add(self.adapters)
            .saturating_add(self.kv)
            .saturating_add(self.states)
            .saturating_add(self.scratch)
    }
}

/// The most tiles that a layer with such a window holds: what the rows of a step see and themselves, and what is kept for a
/// mark; the edges of both lie within tiles.
fn most_tiles(window: usize, chunk: usize) -> usize {
    let kept = window.saturating_add(WAY_BACK).div_ceil(TILE) + 1;
    kept.saturating_mul(2).saturating_add(chunk.div_ceil(TILE) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sequence::kept_from;

    #[test]
    fn no_step_holds_more_tiles() {
        for (window, chunk) in [(1, 1), (16, 7), (63, 64), (64, 100), (65, 1), (500, 512), (512, 33)] {
            let mut most = 0;
            for mark in (0..1500).step_by(13) {
                for len in (mark..3000).step_by(11) {
                    // Before the step's own rows are forgotten, tiles wholly between the two regions are not there.
                    let recent = kept_from(window, len) / TILE..(len + chunk).div_ceil(TILE);
                    let marked = kept_from(window, mark) / TILE..mark.div_ceil(TILE);
                    let apart = marked.end.min(recent.start).saturating_sub(marked.start);
                    most = most.max(recent.len() + apart);
                }
            }
            let bound = most_tiles(window, chunk);
            assert!(most <= bound && most + 4 >= bound, "{window} {chunk}: {most} of {bound}");
        }
    }
}
