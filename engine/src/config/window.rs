//! Layers that see the last positions only.

use super::reader::Reader;
use super::{LayerSet, ModelConfig};
use crate::arch::Arch;
use crate::error::EngineError;
use hewn_kernels::op::attention::Window as Reach;
use hewn_loader::Value;

/// Sliding windows, or chunks.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// Positions that a token sees at most, its own among them.
    pub size: usize,
    /// Whether they are those since the last multiple of the size, otherwise the last ones.
    pub chunks: bool,
    /// Whether half of it reaches to each side.
    pub around: bool,
    /// Which layers have it.
    pub layers: LayerSet,
}

impl ModelConfig {
    /// Which positions layer `i` sees, where not all.
    pub fn reach_of(&self, i: usize) -> Option<Reach> {
        let window = self.window.as_ref()?;
        self.window_of(i).map(|size| match (window.chunks, window.around) {
            (true, _) => Reach::Chunk(size),
            (false, true) => Reach::Around(size / 2),
            (false, false) => Reach::Last(size),
        })
    }

    /// How many positions layer `i` sees at most, where not all.
    pub fn window_of(&self, i: usize) -> Option<usize> {
        let window = self.window.as_ref()?;
        window.layers.has(i).then_some(window.size)
    }
}

impl Reader<'_> {
    pub(super) fn window(&self, arch: &Arch, layers: usize) -> Result<Option<Window>, EngineError> {
        let key = "attention.sliding_window";
        let said = self.size_or_none(key)?;
        // Without windows those architectures would be other ones: all layers would be turned, and see everything.
        let windows = arch.chunked || arch.full_first;
        if windows && said.is_none() && self.meta.contains(&self.key(key)) {
            return self.bad(
                key,
                format!("`{}` without {} is not supported", arch.name, if arch.chunked { "chunks" } else { "windows" }),
            );
        }
        let Some(size) = said.or(arch.window) else { return Ok(None) };
        let key = "attention.sliding_window_pattern";
        let all_but = if arch.full_first { LayerSet::AllButFirstOf } else { LayerSet::AllButEvery };
        let layers = match self.meta.get(&self.key(key)) {
            None => arch.full_every.map_or(LayerSet::All, all_but),
            Some(Value::Array(_)) => self.flags(key, layers)?.map_or(LayerSet::All, LayerSet::Listed),
            Some(_) => all_but(self.need(key)?),
        };
        Ok(Some(Window { size, chunks: arch.chunked, around: arch.around, layers }))
    }
}
