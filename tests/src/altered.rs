//! Files that differ from others in one thing.

use hewn_loader::{Gguf, GgufWriter, MetaValue};

/// The bytes of `gguf` with another value of a key, or without it.
pub fn with_value(gguf: &Gguf, key: &str, value: Option<MetaValue>) -> Vec<u8> {
    let mut w = GgufWriter::new();
    gguf.metadata().iter().filter(|(name, _)| *name != key).try_for_each(|(name, v)| w.value(name, &v)).unwrap();
    if let Some(v) = value {
        w.meta(key, v).unwrap();
    }
    let mut data = Vec::new();
    for t in gguf.tensors() {
        w.tensor(&t.name, &t.dims, Some(t.dtype)).unwrap();
        data.push(gguf.tensor_data(t));
    }
    let mut file = Vec::new();
    w.write_to(&mut file, data).unwrap();
    file
}
