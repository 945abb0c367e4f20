"""Puts the models of the language demo into a folder.

    language_models.py FOLDER

The weights are the small ones that the tests are made with (tests/data/language, tests/data/embeddings), which
transformers, PEFT and sentence-transformers wrote: a BLOOM, adapters for it, and a BERT that makes vectors. What is written here is what a user writes: the folders, and the settings that make a
model of an adapter.
"""

import json
import shutil
import sys
from pathlib import Path

LANGUAGE = Path(__file__).resolve().parent.parent / "data" / "language"

EMBEDDER = LANGUAGE.parent / "embeddings" / "bert"

BASE = "bloom"
# Of ModelMesh's example: texts of a data set's column, which end with padding.
SETTINGS = {"pretrained_model_path": BASE, "dataset_text_column_name": "Tweet text"}
ADAPTERS = {"peft-demo": "prompt-tuning", "peft-demo-lora": "lora"}


def main() -> None:
    models = Path(sys.argv[1])
    shutil.rmtree(models, ignore_errors=True)
    shutil.copytree(LANGUAGE / "base", models / BASE)
    for name, adapter in ADAPTERS.items():
        shutil.copytree(LANGUAGE / adapter, models / name)
        write_settings(models / name, SETTINGS)
    shutil.copytree(EMBEDDER, models / "tiny-bert")
    # The same prompts without an adapter: what is to differ.
    (models / "without-adapter").mkdir()
    write_settings(models / "without-adapter", SETTINGS)


def write_settings(folder: Path, extra: dict[str, str]) -> None:
    settings = {"implementation": "mlserver_huggingface.HuggingFaceRuntime", "parameters": {"extra": extra}}
    (folder / "model-settings.json").write_text(json.dumps(settings, indent=2) + "\n")


if __name__ == "__main__":
    main()
