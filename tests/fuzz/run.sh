#!/usr/bin/env bash
# Fuzzes every target, each for so long or with so many inputs, as many at once as there are cores.
#   run.sh 600s                    all targets, ten minutes each
#   run.sh 600s grpc json          these
#   run.sh 50000                   all targets, with as many inputs each
# What a target has learnt stays in target/fuzz/corpus, and what broke it in target/fuzz/found, which is tried first the
# next time. Another folder: CARGO_TARGET_DIR. With FUZZ_SEED and a number of inputs, a run without a corpus tries the
# same inputs again, however fast the machine is.
set -euo pipefail
cd "$(dirname "$0")"

case $1 in
    *s) limit=-max_total_time=${1%s} ;;
    *) limit=-runs=$1 ;;
esac
shift
targets=("$@")
[[ ${#targets[@]} -gt 0 ]] || targets=(configuration grpc headers json openai path pattern request)

folder=${CARGO_TARGET_DIR:-$PWD/../../target}/fuzz
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
# These would take the place of the flags in .cargo/config.toml.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS
CARGO_TARGET_DIR=$folder cargo build --quiet
host=$(rustc --print host-tuple)
built=$folder/$host/debug
"$built/seeds" "$folder/seeds"

fuzz() {
    local target=$1 log=$folder/$1.log
    mkdir -p "$folder/corpus/$target" "$folder/found/$target"
    if "$built/$target" "$limit" -max_len=4096 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        ${FUZZ_SEED:+-seed="$FUZZ_SEED"} -artifact_prefix="$folder/found/$target/" \
        "$folder/corpus/$target" "$folder/seeds/$target" "$folder/found/$target" >"$log" 2>&1; then
        printf '    %s: %s inputs\n' "$target" "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")"
        return
    fi
    printf '    %s: failed, see %s\n' "$target" "$log" >&2
    grep -A 3 'panicked at' "$log" | head -8 | sed 's/^/        /' >&2 || true
    printf '        again: %s %s/found/%s/…\n' "$built/$target" "$folder" "$target" >&2
    return 1
}
export -f fuzz
export folder built limit
printf '%s\n' "${targets[@]}" | xargs -P "$(nproc)" -I {} bash -c 'fuzz {}'
