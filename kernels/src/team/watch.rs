//! Watching the team at work: when regions are open, and when each thread does something in them.

use std::time::Instant;

/// Is told what the threads of a team do during a step (see [`Team::watched_step`](super::Team::watched_step)). The calls
/// come from the threads themselves, in the middle of a step: they should do little more than note the figures.
///
/// Where a team has one thread, or a region one chunk, there is no region to watch: the leader does the work itself.
pub trait TeamWatch: Send + Sync {
    /// `worker` (0 for the leader) has worked on chunks of a region from `start` until `end`. Told before the region ends.
    fn busy(&self, worker: usize, start: Instant, end: Instant);

    /// A region was opened at `start`; at `end` its last worker had left. Told by the leader.
    fn region(&self, start: Instant, end: Instant);
}
