//! Files that differ from others in one thing.

use hewn_engine::Model;
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

/// A fixture of `data/arch`.
pub fn fixture(name: &str) -> Gguf {
    let path = format!("{}/data/arch/{name}.gguf", env!("CARGO_MANIFEST_DIR"));
    Gguf::from_bytes(std::fs::read(path).unwrap()).unwrap()
}

/// The fixture without a key, or with another value of it.
pub fn with(name: &str, key: &str, value: Option<MetaValue>) -> Result<Model, String> {
    let file = with_value(&fixture(name), key, value);
    Model::from_gguf(Gguf::from_bytes(file).unwrap()).map_err(|e| e.to_string())
}

/// That this is an error about the key.
pub fn refused(name: &str, key: &str, value: Option<MetaValue>) {
    let err = with(name, key, value).map(|_| ()).unwrap_err();
    assert!(err.contains(key), "{key}: {err}");
}
