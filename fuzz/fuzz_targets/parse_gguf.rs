//! Any bytes: the parser refuses them, or everything that it offers can be walked.

#![no_main]

use hewn_loader::{Gguf, Value};
use libfuzzer_sys::fuzz_target;

fn walk(v: Value<'_>) {
    if let Value::Array(a) = v {
        a.iter().for_each(walk);
        let _ = a.strings().map(Iterator::count);
        let _ = a.ints().map(Iterator::count);
        let _ = a.f32s().map(Iterator::count);
    }
}

fuzz_target!(|data: &[u8]| {
    if let Ok(g) = Gguf::from_bytes(data.to_vec()) {
        g.metadata().iter().for_each(|(_, v)| walk(v));
        for t in g.tensors() {
            assert_eq!(g.tensor_data(t).len() as u64, t.bytes);
        }
    }
});
