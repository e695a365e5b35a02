//! `hewn`: run quantized language models on the CPU.

fn main() {}
