//! Which file a packed file was made from.
//!
//! Three numbers that are cheap to get: its length, a hash of everything before its tensors, and a hash of the first
//! and last 4 KiB of each packed tensor; of a split file, those of all its parts. A file that was changed elsewhere has
//! another modification time, and then the source's checksums decide (see `reader`).

use super::plan::Plan;
use hewn_loader::Gguf;
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
        let mut head = Xxh3::new();
        plan.gguf.parts().iter().for_each(|part| head.update(part.head()));
        Self { len: plan.gguf.file_len(), head: head.digest(), edges: edges.digest() }
    }

    /// A file name for it in a cache.
    pub fn key(&self) -> String {
        let numbers = [self.len, self.head, self.edges, u64::from(super::header::VERSION)];
        format!("{:016x}", xxh3_64(&numbers.map(u64::to_le_bytes).concat()))
    }
}

/// When the source was last written: nanoseconds since 1970, for a split file a number that changes with any part's
/// time; 0 when not known.
pub(crate) fn stamp(gguf: &Gguf) -> i64 {
    let times: Vec<i64> = gguf.parts().iter().map(|part| nanoseconds(part.modified())).collect();
    match times[..] {
        [time] => time,
        _ if times.contains(&0) => 0,
        _ => xxh3_64(&times.iter().flat_map(|t| t.to_le_bytes()).collect::<Vec<u8>>()) as i64,
    }
}

fn nanoseconds(t: Option<SystemTime>) -> i64 {
    let since = t.and_then(|t| t.duration_since(UNIX_EPOCH).ok());
    since.and_then(|d| i64::try_from(d.as_nanos()).ok()).unwrap_or(0)
}
