//! Some of the layers.

/// Some of the layers.
#[derive(Clone, Debug, PartialEq)]
pub enum LayerSet {
    /// All.
    All,
    /// All but the last of each so many.
    AllButEvery(usize),
    /// All but the first of each so many.
    AllButFirstOf(usize),
    /// Those listed as true.
    Listed(Vec<bool>),
}

impl LayerSet {
    /// Whether layer `i` is one of them.
    pub fn has(&self, i: usize) -> bool {
        match self {
            Self::All => true,
            Self::AllButEvery(n) => i % n != n - 1,
            Self::AllButFirstOf(n) => !i.is_multiple_of(*n),
            Self::Listed(list) => list.get(i).copied().unwrap_or(false),
        }
    }

    /// No layer.
    pub(super) const fn none() -> Self {
        Self::Listed(Vec::new())
    }

    /// The others of so many layers.
    pub(super) fn others(&self, layers: usize) -> Self {
        Self::Listed((0..layers).map(|i| !self.has(i)).collect())
    }
}
