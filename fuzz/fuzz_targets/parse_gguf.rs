//! Any bytes: the parser refuses them, or everything that it offers can be walked and is what it promises.

#![no_main]

use hewn_loader::{Gguf, Value};
use libfuzzer_sys::fuzz_target;

fn walk(v: Value<'_>) {
    if let Value::Array(a) = v {
        assert_eq!(a.iter().count(), a.len());
        a.iter().for_each(walk);
        for n in [a.strings().map(Iterator::count), a.ints().map(Iterator::count), a.f32s().map(Iterator::count)] {
            assert!(n.is_none_or(|n| n == a.len()));
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let g = match Gguf::from_bytes(data.to_vec()) {
        Ok(g) => g,
        // A message is part of the promise, and must not be as long as the file.
        Err(e) => return assert!(e.to_string().len() < 2000),
    };
    let m = g.metadata();
    assert_eq!(m.iter().count(), m.len());
    for (key, value) in m.iter() {
        walk(value);
        // Not by equality: NaN is not equal to itself.
        assert_eq!(m.get(key).map(|v| v.kind()), Some(value.kind()));
        assert_eq!(m.u64(key).ok().flatten().is_some(), value.as_int().is_some_and(|v| v >= 0 && v <= u64::MAX.into()));
        assert_eq!(m.array(key).is_ok(), matches!(value, Value::Array(_)));
        let _ = (m.str(key), m.f32(key), m.bool(key), m.u32(key));
    }
    let mut places = Vec::new();
    for t in g.tensors() {
        assert_eq!(g.tensor(&t.name), Some(t));
        assert_eq!(g.tensor_data(t).len() as u64, t.bytes);
        assert_eq!((t.offset % g.alignment(), t.rows() * t.cols()), (0, t.elements()));
        places.push(t.offset..t.offset + t.bytes);
    }
    places.sort_by_key(|p| p.start);
    assert!(places.windows(2).all(|w| w[0].end <= w[1].start));
});
