//! What the operating system says about the machine, and how many threads follow from it.
//!
//! ```text
//! threads.rs   the choice, with everything that led to it
//!   cores.rs   processors of this process -> physical cores
//!   groups.rs  the control groups of this process, of both versions -> CPU quota, memory limit
//! facts.rs     model name, caches, memory, huge pages
//! root.rs      reading small files below a root: `/`, or a made-up tree in tests
//! ```
//!
//! All of it comes from Linux's `/proc` and `/sys`. Elsewhere, or where a file is missing or makes no sense, a fact is
//! `None` and the choice says that it went by what the standard library knows.

mod cores;
mod facts;
mod groups;
mod root;
#[cfg(test)]
mod tests;
mod threads;

pub use cores::Core;
pub use facts::{Cache, Facts, Memory};
pub use groups::{CpuQuota, MemoryLimit};
pub use threads::{Reason, ThreadChoice, default_threads};
