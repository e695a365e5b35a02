//! GGUF files, memory-mapped and checked, as typed views.
//!
//! [`Gguf::open`] believes nothing: every count, length, type, shape and offset is checked against the file before it
//! is used, and every refusal is a [`LoadError`] that says what, where and which key or tensor. Nothing is copied but
//! names; values and tensors are slices of the mapped file. A split file is opened by any of its parts.

mod dtype;
mod error;
mod gguf;
mod map;
mod metadata;
mod part;
mod reader;
mod split;
mod tensor;
mod value;
mod write;
mod write_split;

pub use dtype::TensorType;
pub use error::{LoadError, SplitFault};
pub use gguf::Gguf;
pub use map::OpenOptions;
pub use metadata::Metadata;
pub use part::Part;
pub use split::{SPLIT_COUNT, SPLIT_NO, SPLIT_TENSORS, part_path};
pub use tensor::TensorInfo;
pub use value::{Array, Value, ValueType};
pub use write::{GgufStream, GgufWriter, MetaValue};
pub use write_split::write_split;
