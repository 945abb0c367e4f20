#!/usr/bin/env python
"""Writes one tiny model of each family that the runtime's decoder serves, under families/.

    python -m venv /tmp/fixtures && /tmp/fixtures/bin/pip install torch transformers peft
    /tmp/fixtures/bin/python make_family_fixtures.py

Random weights, norms and biases that are not what they are initialised with, and no tokenizer: the decoder is asked by
ids. A family's options that change no weights (tied heads, windows, stretched positions) are folders with a config.json
alone; golden.json names whose weights they have, and what transformers and PEFT answer: the ids that follow greedily,
and the logits of the first of them. Committed as it was made with the releases that golden.json names.
"""

import json
import os
import re
import shutil

import numpy as np
import peft
import torch
import transformers
from make_language_fixtures import floats
from safetensors.torch import save_file

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "families")
VOCABULARY = 64
NEW_TOKENS = 8
# Blocks of the cache have 16 positions: below, above, and more than two of them.
LENGTHS = [1, 5, 23, 40]

COMMON = dict(
    vocab_size=VOCABULARY, hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=128, bos_token_id=1, eos_token_id=2, pad_token_id=0,
)

LINEAR = {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}
# With so small an old context the three pairs of a head fall to all three of the cases.
LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 100.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
LONGROPE = {
    "rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.0, 1.3, 2.0, 2.5],
    "long_factor": [1.5, 3.0, 5.0, 9.0],
}

# As Qwen's files have it. Three pairs stay, are slowed in part, and are slowed whole.
YARN = {
    "rope_type": "yarn", "rope_theta": 1000.0, "factor": 4.0, "original_max_position_embeddings": 64, "beta_fast": 4.0,
}

# Each: the family, what its configuration has beside what all have, and whose weights (its own if none are named).
MODELS = {
    "llama": ("Llama", dict(), None),
    "llama-tied": ("Llama", dict(tie_word_embeddings=True), "llama"),
    "llama-linear": ("Llama", dict(rope_parameters=LINEAR), "llama"),
    "llama-llama3": ("Llama", dict(rope_parameters=LLAMA3), "llama"),
    "llama-biases": ("Llama", dict(attention_bias=True, mlp_bias=True, hidden_act="gelu"), None),
    "mistral": ("Mistral", dict(sliding_window=6, head_dim=12, rope_theta=1000.0), None),
    "qwen2": ("Qwen2", dict(tie_word_embeddings=True), None),
    "qwen2-window": (
        "Qwen2", dict(tie_word_embeddings=True, use_sliding_window=True, sliding_window=7, max_window_layers=1),
        "qwen2",
    ),
    "qwen3": ("Qwen3", dict(head_dim=12, rope_theta=1e6), None),
    "gemma": ("Gemma", dict(head_dim=12), None),
    # A width whose root is far from what bf16 can hold.
    "gemma-bf16": ("Gemma", dict(head_dim=12, hidden_size=40), None),
    "gemma2": (
        "Gemma2",
        dict(head_dim=12, sliding_window=6, query_pre_attn_scalar=20, attn_logit_softcapping=2.5,
             final_logit_softcapping=9.0),
        None,
    ),
    "gemma3": (
        "Gemma3Text",
        dict(num_hidden_layers=3, head_dim=12, sliding_window=6, sliding_window_pattern=3, query_pre_attn_scalar=10,
             rope_parameters={
                 "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e5},
                 "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
             }),
        None,
    ),
    "phi3": ("Phi3", dict(sliding_window=9), None),
    "phi3-longrope": (
        "Phi3",
        dict(rope_parameters=LONGROPE, max_position_embeddings=256, original_max_position_embeddings=64), "phi3",
    ),
    "phi": ("Phi", dict(num_key_value_heads=4), None),
    "phi-head-norms": ("Phi", dict(qk_layernorm=True, num_key_value_heads=2), None),
    "qwen3-yarn": ("Qwen3", dict(head_dim=12, rope_parameters=YARN), "qwen3"),
}


def disturb(model, family, generator):
    """Every parameter at random; norms around what leaves a value as it is."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if "norm" in name and name.endswith("weight"):
                # Gemma's have a 1 added.
                parameter.copy_((0.0 if family.startswith("Gemma") else 1.0) + 0.2 * noise)
            elif name.endswith("bias"):
                parameter.copy_(0.2 * noise)
            elif "embed_tokens" in name:
                # Where it is multiplied, less, so that layers change something beside it.
                parameter.copy_((0.1 if family.startswith("Gemma") else 0.7) * noise)
            else:
                parameter.copy_(0.3 * noise)
    return model.eval()


def make(family, options):
    config_class = getattr(transformers, f"{family}Config")
    model_class = getattr(transformers, "Gemma3ForCausalLM" if family == "Gemma3Text" else f"{family}ForCausalLM")
    config = config_class(**{**COMMON, **options}, attn_implementation="eager")
    return model_class(config)


def greedy(model, ids):
    """The ids that follow, and the scores of the first: the whole text through the model for each."""
    new, first = [], None
    while len(new) < NEW_TOKENS:
        text = torch.tensor([ids + new], dtype=torch.long)
        with torch.no_grad():
            logits = model(input_ids=text, attention_mask=torch.ones_like(text), use_cache=False).logits[0, -1]
        first = logits if first is None else first
        best = logits.topk(2)
        assert best.values[0] - best.values[1] > 1e-3, "two tokens are as likely: take another seed"
        new.append(int(best.indices[0]))
    return new, first


def answers(model):
    random = np.random.default_rng(5)
    said = {}
    for length in LENGTHS:
        ids = [int(token) for token in random.integers(3, VOCABULARY, length)]
        new, logits = greedy(model, ids)
        said[str(length)] = {"ids": ids, "generated": new, "logits": floats(logits.float().numpy())}
    return said


def adapter(kind, model):
    task = dict(task_type=peft.TaskType.CAUSAL_LM, base_model_name_or_path="llama")
    if kind == "llama-prompt-tuning":
        config = peft.PromptTuningConfig(num_virtual_tokens=4, **task)
    elif kind == "llama-prefix-tuning":
        config = peft.PrefixTuningConfig(num_virtual_tokens=3, **task)
    else:
        modules = ["q_proj", "v_proj", "gate_proj", "down_proj"]
        config = peft.LoraConfig(r=2, lora_alpha=6, target_modules=modules, **task)
    torch.manual_seed(3)
    model = peft.get_peft_model(model, config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.copy_(0.5 * torch.randn(parameter.shape))
    return model.eval()


def keep(folder, names):
    for name in os.listdir(folder):
        if name not in names:
            os.remove(os.path.join(folder, name))


def in_order(path):
    """PEFT writes sets as they come."""
    with open(path, encoding="utf-8") as file:
        config = json.load(file)
    if isinstance(config.get("target_modules"), list):
        config["target_modules"].sort()
    with open(path, "w", encoding="utf-8") as file:
        json.dump(config, file, indent=2, sort_keys=True)
        file.write("\n")


def main():
    shutil.rmtree(HERE, ignore_errors=True)
    os.makedirs(HERE)
    golden = {
        "made_with": {
            "torch": torch.__version__, "transformers": transformers.__version__, "peft": peft.__version__,
        },
        "models": {},
        "adapters": {},
    }
    states = {}
    for number, (name, (family, options, weights)) in enumerate(MODELS.items()):
        print(name)
        folder = os.path.join(HERE, name)
        model = disturb(make(family, options), family, torch.Generator().manual_seed(20 + number))
        if weights:
            # A tied head is the embedding, whatever else the file has.
            state = dict(states[weights])
            if options.get("tie_word_embeddings"):
                state["lm_head.weight"] = state["model.embed_tokens.weight"]
            model.load_state_dict(state)
        model.tie_weights()
        states[name] = {key: value.clone() for key, value in model.state_dict().items()}
        if name.endswith("bf16"):
            # As torch has it of such a file: the factor of the embedding is rounded, too. The sums are not.
            with torch.no_grad():
                for tensor in [*model.parameters(), model.model.embed_tokens.embed_scale]:
                    tensor.copy_(tensor.to(torch.bfloat16).float())
        model.save_pretrained(folder)
        if name.endswith("bf16"):
            tied = {key: value for key, value in model.state_dict().items() if key != "lm_head.weight"}
            half = {key: value.to(torch.bfloat16).contiguous() for key, value in tied.items()}
            save_file(half, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
        keep(folder, ["config.json"] if weights else ["config.json", "model.safetensors"])
        golden["models"][name] = {"weights": weights or name, "answers": answers(model)}
    for kind in ["llama-lora", "llama-prompt-tuning", "llama-prefix-tuning"]:
        print(kind)
        base = make("Llama", {})
        base.load_state_dict(states["llama"])
        model = adapter(kind, base.eval())
        folder = os.path.join(HERE, kind)
        model.save_pretrained(folder)
        keep(folder, ["adapter_config.json", "adapter_model.safetensors"])
        in_order(os.path.join(folder, "adapter_config.json"))
        golden["adapters"][kind] = {"base": "llama", "answers": answers(model)}
    with open(os.path.join(HERE, "golden.json"), "w", encoding="utf-8") as file:
        text = json.dumps(golden, indent=1, sort_keys=True)
        # Ids on one line.
        file.write(re.sub(r"\[[\d,\s]+\]", lambda ids: " ".join(ids[0].split()), text) + "\n")


if __name__ == "__main__":
    main()
