"""Writes a model of bloomz-560m's exact shape with random weights, and a prompt-tuning adapter for it.

    make_model.py FOLDER        needs numpy; 1.1 GB

559,214,592 parameters in f16, as bloomz-560m's own file has them. The tokenizer is the small one of the tests: the bench
asks by token ids. What is computed does not depend on what the weights are.
"""

import json
import shutil
import struct
import sys
from pathlib import Path

import numpy

HIDDEN, LAYERS, HEADS, VOCABULARY = 1024, 24, 16, 250_880
VIRTUAL_TOKENS = 8
LANGUAGE = Path(__file__).resolve().parents[2] / "data" / "language"

CONFIG = {
    "architectures": ["BloomForCausalLM"],
    "model_type": "bloom",
    "vocab_size": VOCABULARY,
    "n_embed": HIDDEN,
    "n_layer": LAYERS,
    "num_attention_heads": HEADS,
    "seq_length": 2048,
    "layer_norm_epsilon": 1e-05,
    "unk_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 3,
    "torch_dtype": "float16",
}
ADAPTER = {
    "peft_type": "PROMPT_TUNING",
    "task_type": "CAUSAL_LM",
    "num_virtual_tokens": VIRTUAL_TOKENS,
    "token_dim": HIDDEN,
    "num_transformer_submodules": 1,
    "num_attention_heads": HEADS,
    "num_layers": LAYERS,
    "base_model_name_or_path": "base",
    "inference_mode": True,
    "prompt_tuning_init": "RANDOM",
}


def shapes() -> dict[str, tuple[int, ...]]:
    named: dict[str, tuple[int, ...]] = {"word_embeddings.weight": (VOCABULARY, HIDDEN)}

    def norm(name: str) -> None:
        named[f"{name}.weight"] = named[f"{name}.bias"] = (HIDDEN,)

    def linear(name: str, inputs: int, outputs: int) -> None:
        named[f"{name}.weight"], named[f"{name}.bias"] = (outputs, inputs), (outputs,)

    norm("word_embeddings_layernorm")
    for layer in range(LAYERS):
        norm(f"h.{layer}.input_layernorm")
        linear(f"h.{layer}.self_attention.query_key_value", HIDDEN, 3 * HIDDEN)
        linear(f"h.{layer}.self_attention.dense", HIDDEN, HIDDEN)
        norm(f"h.{layer}.post_attention_layernorm")
        linear(f"h.{layer}.mlp.dense_h_to_4h", HIDDEN, 4 * HIDDEN)
        linear(f"h.{layer}.mlp.dense_4h_to_h", 4 * HIDDEN, HIDDEN)
    norm("ln_f")
    return named


def write(path: Path, tensors: dict[str, tuple[int, ...]], dtype: str) -> int:
    """A safetensors file, a tensor at a time."""
    random = numpy.random.default_rng(5)
    kind, width = {"F16": (numpy.float16, 2), "F32": (numpy.float32, 4)}[dtype]
    header, end = {}, 0
    for name, shape in tensors.items():
        length = int(numpy.prod(shape)) * width
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [end, end + length]}
        end += length
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, shape in tensors.items():
            values = random.standard_normal(shape, dtype=numpy.float32) * 0.02
            # Norms scale by about one.
            values += 1.0 if "norm" in name or name.startswith("ln_f") and name.endswith("weight") else 0.0
            file.write(values.astype(kind).tobytes())
    return sum(int(numpy.prod(shape)) for shape in tensors.values())


def main() -> None:
    folder = Path(sys.argv[1]).resolve()
    shutil.rmtree(folder, ignore_errors=True)
    base, adapter = folder / "base", folder / "adapter"
    base.mkdir(parents=True)
    adapter.mkdir()
    parameters = write(base / "model.safetensors", shapes(), "F16")
    assert parameters == 559_214_592, parameters
    (base / "config.json").write_text(json.dumps(CONFIG, indent=1))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(LANGUAGE / "base" / name, base / name)
    write(adapter / "adapter_model.safetensors", {"prompt_embeddings": (VIRTUAL_TOKENS, HIDDEN)}, "F32")
    (adapter / "adapter_config.json").write_text(json.dumps(ADAPTER, indent=1))
    for weights in ("f32", "f16", "int8"):
        model = folder / "models" / weights / "tuned"
        model.mkdir(parents=True)
        for path in adapter.iterdir():
            (model / path.name).symlink_to(path)
        extra = {"pretrained_model_path": str(base), "weights": weights}
        settings = {"implementation": "mlserver_huggingface.HuggingFaceRuntime", "parameters": {"extra": extra}}
        (model / "model-settings.json").write_text(json.dumps(settings, indent=1))
    (folder / "done").touch()


if __name__ == "__main__":
    main()
