#!/usr/bin/env bash
# Runs one step of a make target, says what it does and how long it took.
#   step.sh "building the filter" cargo build …
set -uo pipefail

what=$1
shift
started=$(date +%s%N)
printf '==> %s\n' "$what"
"$@"
status=$?
tenths=$((($(date +%s%N) - started) / 100000000))
took="$((tenths / 10)).$((tenths % 10)) s"
if [[ $status -eq 0 ]]; then
    printf '    %s: done in %s\n' "$what" "$took"
else
    printf '    %s: failed with status %s after %s\n' "$what" "$status" "$took" >&2
fi
exit "$status"
