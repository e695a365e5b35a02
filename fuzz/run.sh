#!/usr/bin/env bash
# Fuzzes the parser for FUZZ_SECONDS (20). Exit code 3: there is no fuzzer to be had here.
set -euo pipefail
cd "$(dirname "$0")"
if ! cargo fuzz --version >/dev/null 2>&1; then
  cargo install --locked cargo-fuzz || exit 3
fi
mkdir -p corpus/parse_gguf
cp ../tests/data/*.gguf corpus/parse_gguf/
if [ -f ../../shared/fixtures/tiny-vocab.gguf ]; then cp -f ../../shared/fixtures/tiny-vocab.gguf corpus/parse_gguf/; fi
# Sanitizers want a nightly compiler; without one the checks are the target's own assertions and Rust's bounds checks.
export RUSTC_BOOTSTRAP=1
cargo fuzz build --sanitizer none parse_gguf || exit 3
cargo fuzz run --sanitizer none parse_gguf -- -max_total_time="${FUZZ_SECONDS:-20}" -rss_limit_mb=2048 -max_len=65536
