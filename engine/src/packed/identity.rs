//! Which file a packed file was made from.
//!
//! Three numbers that are cheap to get: its length, a hash of everything before its tensors, and a hash of the first
//! and last 4 KiB of each packed tensor. A file that was changed elsewhere has another modification time, and then the
//! source's checksums decide (see `reader`).

use super::plan::Plan;
use std::time::{SystemTime, UNIX_EPOCH};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

const EDGE: usize = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Length of the file.
    pub len: u64,
    /// Hash of what is before its tensors.
    pub head: u64,
    /// Hash of the packed tensors' edges.
    pub edges: u64,
}

impl Identity {
    pub fn of(plan: &Plan) -> Self {
        let mut edges = Xxh3::new();
        for item in &plan.items {
            let data = plan.gguf.tensor_data(&item.target.tensor);
            edges.update(&data[..data.len().min(EDGE)]);
            edges.update(&data[data.len().saturating_sub(EDGE)..]);
        }
        Self { len: plan.gguf.file_len(), head: xxh3_64(plan.gguf.head()), edges: edges.digest() }
    }

    /// A file name for it in a cache.
    pub fn key(&self) -> String {
        let numbers = [self.len, self.head, self.edges, u64::from(super::header::VERSION)];
        format!("{:016x}", xxh3_64(&numbers.map(u64::to_le_bytes).concat()))
    }
}

/// Nanoseconds since 1970; 0 when not known.
pub(crate) fn nanoseconds(t: Option<SystemTime>) -> i64 {
    let since = t.and_then(|t| t.duration_since(UNIX_EPOCH).ok());
    since.and_then(|d| i64::try_from(d.as_nanos()).ok()).unwrap_or(0)
}
