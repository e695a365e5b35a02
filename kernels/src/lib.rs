//! Bit-reproducible quantized SIMD kernels: matrix products, attention, norms, over a team of threads.
//!
//! The numeric contract: a result depends on the inputs alone, bit for bit, whatever the instruction set, the number
//! of threads, the batching, and the layout that the weights are read from. It holds because every operation fixes the
//! order of its floating-point operations per output element; lanes run over independent outputs, or over sixteen
//! *virtual* lanes with a fixed summation tree. See [`isa`] for how one source serves every instruction set,
//! [`format`] for how weights reach it, [`op`] for the operations and [`team`] for the threads.

// Lane loops index several arrays by the same lane; zipped iterators would hide which lane meets which.
#![allow(clippy::needless_range_loop)]

mod cost;
pub mod format;
pub mod isa;
pub mod kv;
pub mod math;
pub mod op;
mod pages;
pub mod probe;
pub mod reference;
pub mod state;
pub mod team;
#[cfg(test)]
mod testing;

pub use cost::Cost;
pub use format::Format;
pub use isa::{CpuIsa, IsaError, IsaKind};
pub use kv::slab::{Arena, Tile as Buffer};
pub use kv::{KvLayer, KvShape, KvType};
pub use team::{Crew, Team, TeamError, TeamWatch};
