//! The one-time switch of a matrix from the model's file to the packed one.

use memmap2::Mmap;
use std::fs::File;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// A mapped packed file, and the handle whose shared lock says that it is in use.
#[derive(Debug)]
pub(crate) struct PackMap {
    pub map: Mmap,
    pub _file: File,
}

#[derive(Debug)]
struct Bytes {
    map: Arc<PackMap>,
    range: Range<usize>,
}

/// Where a matrix's packed bytes are, once they have been checked. Clones share the switch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slot(Arc<OnceLock<Bytes>>);

impl Slot {
    /// The packed bytes; `None` as long as the file's own layout is read.
    pub fn get(&self) -> Option<&[u8]> {
        self.0.get().map(|b| &b.map.map[b.range.clone()])
    }

    /// Switches, for good. The range must lie in the map. False when it was switched before.
    pub fn set(&self, map: &Arc<PackMap>, range: Range<usize>) -> bool {
        assert!(range.end <= map.map.len(), "checked by the reader");
        self.0.set(Bytes { map: map.clone(), range }).is_ok()
    }
}
