#!/usr/bin/env bash
# Builds the filter once more, with its allocator's calls counted, into the file named: the same code and options as
# `make wasm`, linked with allocations.rs. In a target folder of its own, so that the module that ships stays as it is.
#   build.sh target/bench/counted.wasm
set -euo pipefail
cd "$(dirname "$0")/../../.."

out=$1
folder=$(dirname "$out")/counted
mkdir -p "$folder"
rustc --edition 2024 --crate-type rlib --emit obj -C opt-level=3 -C panic=abort --target wasm32-wasip1 \
    -o "$folder/allocations.o" tests/bench/counted/allocations.rs
link=(-C "link-arg=$folder/allocations.o" -C link-arg=--export=modelway_allocations)
for function in malloc calloc realloc posix_memalign aligned_alloc; do
    link+=(-C "link-arg=--wrap=$function")
done
cargo rustc --quiet --profile wasm --package modelway-filter --target wasm32-wasip1 --target-dir "$folder" -- "${link[@]}"
cp "$folder/wasm32-wasip1/wasm/modelway_filter.wasm" "$out"
