#!/usr/bin/env bash
# The peer of `make bench-llm`: torch, transformers and PEFT from PyPI, in a folder of their own. MODELWAY_LLM_PYTHON names
# an environment that has them already.
set -euo pipefail
cd "$(dirname "$0")/../.."
[[ -z ${MODELWAY_LLM_PYTHON:-} ]] || exit 0
venv=.tools/venv-llm
if ! "$venv/bin/python" -c 'import torch, transformers, peft' 2>/dev/null; then
    echo "installing torch, transformers and PEFT from PyPI into $venv (about 5.5 GB)"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check torch==2.15.0 transformers==5.24.0 peft==0.21.2 numpy
fi
