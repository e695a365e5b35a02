#!/usr/bin/env bash
# Fuzzes the parser for FUZZ_SECONDS (20), with a stable compiler. Exit code 3: there is no fuzzer to be had here (no
# cargo-fuzz and no way to install it, or no C++ compiler for libFuzzer); anything else that fails is a failure.
# FUZZ_SANITIZER=address checks the one `unsafe` block's neighbourhood too, at a fifth of the speed.
set -euo pipefail
cd "$(dirname "$0")"
if ! command -v "${CXX:-c++}" >/dev/null; then
  echo "no C++ compiler" >&2
  exit 3
fi
if ! cargo fuzz --version >/dev/null 2>&1; then
  cargo install --locked cargo-fuzz || exit 3
fi
seeds="$(mktemp -d)"
trap 'rm -rf "$seeds"' EXIT
cp ../tests/data/*.gguf "$seeds"
vocab=../../shared/fixtures/tiny-vocab.gguf
if [ -f "$vocab" ]; then cp "$vocab" "$seeds"; fi
# Version 1, with its narrow counts: a header, one pair, and no tensors.
printf 'GGUF\1\0\0\0\0\0\0\0\1\0\0\0\1\0\0\0k\4\0\0\0\7\0\0\0' >"$seeds/v1.gguf"
mkdir -p corpus/parse_gguf
# cargo-fuzz passes options that want a nightly compiler by rights; a stable one takes them with this.
export RUSTC_BOOTSTRAP=1
sanitizer="${FUZZ_SANITIZER:-none}"
cargo fuzz build --sanitizer "$sanitizer" parse_gguf
cargo fuzz run --sanitizer "$sanitizer" parse_gguf corpus/parse_gguf "$seeds" -- \
  -max_total_time="${FUZZ_SECONDS:-20}" -rss_limit_mb=2048 -max_len=65536 -print_final_stats=1
