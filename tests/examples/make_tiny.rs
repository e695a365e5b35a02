//! Writes the tiny random-weight model that the project carries: `cargo run -p hewn-tests --example make_tiny`.

use hewn_tests::tiny::{Shape, Tiny};

fn main() -> std::io::Result<()> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/data/tiny-random.gguf");
    std::fs::write(path, Tiny::make(Shape::data(), 1).bytes)
}
