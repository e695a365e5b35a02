//! GGUF files, memory-mapped and checked, as typed views.
//!
//! [`Gguf::open`] believes nothing: every count, length, type, shape and offset is checked against the file before it
//! is used, and every refusal is a [`LoadError`] that says what, where and which key or tensor. Nothing is copied but
//! names; values and tensors are slices of the mapped file.

mod dtype;
mod error;
mod gguf;
mod map;
mod metadata;
mod reader;
mod tensor;
mod value;
mod write;

pub use dtype::TensorType;
pub use error::LoadError;
pub use gguf::Gguf;
pub use map::OpenOptions;
pub use metadata::Metadata;
pub use tensor::TensorInfo;
pub use value::{Array, Value, ValueType};
pub use write::{GgufStream, GgufWriter, MetaValue};
