#!/usr/bin/env bash
# The tests through a real Envoy against the other releases of it.
#   matrix.sh short    what HTTP itself may change, and the reload
#   matrix.sh full     all of it
set -euo pipefail
cd "$(dirname "$0")/.."

envoys=$(tests/setup/envoys.sh)
# The whole workspace, so that nothing is built with other features than `make test` builds it with.
through=(cargo test --quiet --workspace)
for envoy in $envoys; do
    printf '    %s\n' "$("$envoy" --version | sed -n 's,.*/\([0-9.]*\)/.*,Envoy \1,p')"
    export MODELWAY_ENVOY=$envoy
    case $1 in
    short)
        "${through[@]}" --test envoy -- smuggling
        "${through[@]}" --test envoy -- grpc
        "${through[@]}" --test smuggling
        "${through[@]}" --test reload -- all_traffic
        ;;
    full)
        "${through[@]}" --no-fail-fast --test envoy --test smuggling --test reload --test host_agrees_with_envoy
        ;;
    esac
done
