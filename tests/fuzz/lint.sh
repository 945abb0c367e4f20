#!/usr/bin/env bash
# The fuzz targets are a workspace of their own, built with coverage: rustfmt and clippy there.
set -euo pipefail
cd "$(dirname "$0")"
cargo fmt --check
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS
CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/../../target}/fuzz cargo clippy --quiet --all-targets -- -D warnings
