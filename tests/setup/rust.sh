#!/usr/bin/env bash
# Sees to the Rust target that the filter is built for. Done already: returns at once.
set -euo pipefail

target=wasm32-wasip1
[[ -d $(rustc --print target-libdir --target $target) ]] && exit 0
if ! command -v rustup >/dev/null; then
    printf 'setup: the Rust target %s is not installed and rustup is not on the PATH; install Rust from https://rustup.rs\n' $target >&2
    exit 1
fi
rustup target add $target
