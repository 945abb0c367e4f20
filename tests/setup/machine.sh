#!/usr/bin/env bash
# Checks that the machine has what the demo and the tests start from, and installs the missing Debian packages when run as root.
# Everything else they need goes under .tools/ (see python.sh and rust.sh).
set -euo pipefail

fail() {
    printf 'setup: %s\n' "$1" >&2
    exit 1
}

packages=()
command -v cc >/dev/null || packages+=(gcc libc6-dev)
command -v c++ >/dev/null || packages+=(g++)
command -v curl >/dev/null || packages+=(curl)
if ! command -v python3 >/dev/null; then
    packages+=(python3 python3-venv)
elif ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
    packages+=(python3-venv)
fi

if [[ ${#packages[@]} -gt 0 ]]; then
    install="apt-get install --no-install-recommends ${packages[*]}"
    command -v apt-get >/dev/null || fail "not found: ${packages[*]} (Debian's names); install them, then run make again"
    [[ $(id -u) -eq 0 ]] || fail "not installed: ${packages[*]}; run \`sudo $install\`, then run make again"
    printf 'installing with apt: %s\n' "${packages[*]}"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${packages[@]}" >/dev/null
fi

python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "python3 is $(python3 -V 2>&1 | cut -d' ' -f2), expected 3.11 or newer (Debian 12 has it)"
command -v cargo >/dev/null || fail "cargo is not on the PATH; install Rust from https://rustup.rs, then run make again"
