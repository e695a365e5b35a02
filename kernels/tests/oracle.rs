//! Every block format against an independent reader: the PyPI package `gguf` (see `oracle.py`, which wrote `data/`).

use hewn_kernels::Format;

#[test]
fn weights_are_those_of_the_reference() {
    for format in Format::ALL.iter().filter(|f| f.is_quant()) {
        let path = format!("{}/tests/data/{}.bin", env!("CARGO_MANIFEST_DIR"), format.name());
        let file = std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        // A file holds blocks and four bytes for each of their weights.
        let blocks = file.len() / (format.block_bytes() + 4 * format.block_len());
        let (raw, want) = file.split_at(blocks * format.block_bytes());
        assert_eq!((blocks, want.len()), (4, 4 * 4 * format.block_len()), "{path}");
        let mut got = vec![f32::NAN; blocks * format.block_len()];
        format.dequantize(raw, &mut got);
        for (k, (got, want)) in got.iter().zip(want.as_chunks::<4>().0).enumerate() {
            let want = f32::from_le_bytes(*want);
            assert!(want.is_finite() && *got == want, "{} weight {k}: {got} is not {want}", format.name());
        }
    }
}
