//! The Hewn inference engine: quantized language models on the CPU, the same bits everywhere.
//!
//! ```no_run
//! use hewn_engine::{CpuIsa, LoadOptions, Logits, Model, Runner, RunnerOptions, Sequence, SequenceOptions, Team, Work};
//! use std::{ops::ControlFlow, path::Path, sync::Arc};
//!
//! # fn main() -> Result<(), hewn_engine::EngineError> {
//! let model = Arc::new(Model::open(Path::new("model.gguf"), &LoadOptions::default())?);
//! let team = Arc::new(Team::new(hewn_engine::default_threads(), CpuIsa::best())?);
//! let mut runner = Runner::new(model.clone(), team, &RunnerOptions::default())?;
//! let mut seq = Sequence::new(&model, &SequenceOptions::default())?;
//! let work = Work { seq: &mut seq, tokens: &[1, 2, 3], logits: Logits::Last };
//! let logits = runner.step(&mut [work], &mut |_, _| ControlFlow::Continue(()))?;
//! assert_eq!(logits.len(), model.config().vocab);
//! # Ok(())
//! # }
//! ```
//!
//! A model can be part of the program: nothing is then needed beside it, and nothing is copied.
//!
//! ```
//! use hewn_engine::{Model, loader::Gguf};
//!
//! /// Kernels read weights fastest from multiples of 64 bytes.
//! #[repr(align(64))]
//! struct Aligned<T: ?Sized>(T);
//!
//! static MODEL: &Aligned<[u8]> =
//!     &Aligned(*include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/tiny-random.gguf")));
//!
//! # fn main() -> Result<(), hewn_engine::EngineError> {
//! let model = Model::from_gguf(Gguf::from_static(&MODEL.0)?)?;
//! assert_eq!(model.config().arch.name, "qwen2");
//! # Ok(())
//! # }
//! ```
//!
//! From a text by way of the chat template to an answer, word by word: `engine/examples/ask.rs`.
//!
//! [`Model`] is immutable and shared; a [`Sequence`] is one conversation's state; a [`Runner`] appends tokens to any
//! number of sequences in one step. [`generate()`] is the loop around it that most programs want, and [`embed`] makes
//! vectors of texts. The library prints nothing, holds no global state, and reports failures as [`EngineError`].

mod adapter;
mod arch;
mod cancel;
mod config;
mod error;
mod forward;
mod generate;
mod memory;
mod model;
mod runner;
mod scratch;
mod sequence;
mod weights;

pub mod chat;
pub mod embed;
pub mod eval;
pub mod host;
pub mod packed;
pub mod perplexity;
pub mod quantize;
pub mod record;
pub mod sampler;
pub mod speculate;
pub mod synth;
pub mod text;
pub mod tokenizer;

pub use adapter::{Adapter, AdapterFile};
pub use arch::Arch;
pub use cancel::CancelToken;
pub use config::{ModelConfig, RopeOptions, RopeScaling};
pub use error::EngineError;
pub use generate::{Event, FinishReason, GenerateOptions, Generation, Thinking, Timings, generate};
pub use hewn_kernels::{CpuIsa, IsaError, IsaKind, KvType, Team, TeamError};
pub use hewn_loader as loader;
pub use host::{ThreadChoice, default_threads};
pub use memory::Memory;
pub use model::{LoadOptions, Model};
pub use packed::{PackCache, PackMode, PackOptions};
pub use runner::{Logits, Progress, Runner, RunnerOptions, Work};
pub use sequence::{MAGIC as SAVED_SEQUENCE, Sequence, SequenceOptions};

/// The architectures that can be run, as the files name them.
pub fn supported_architectures() -> impl Iterator<Item = &'static str> {
    arch::ALL.iter().map(|a| a.name)
}
