#!/usr/bin/env python
"""Writes the language models that the runtime's decoder is tested with, under language/.

    python -m venv /tmp/fixtures && /tmp/fixtures/bin/pip install torch transformers peft
    /tmp/fixtures/bin/python make_language_fixtures.py

A tiny BLOOM with random weights: six heads (not a power of two, so that both kinds of ALiBi slopes are there), biases
and norms that are not what they are initialised with, and a byte-level BPE that was trained with BLOOM's own
pre-tokenizer. Adapters of four kinds for it. golden.json holds what transformers and PEFT answer: token ids, the
logits of the first step, the text. Committed as it was made with the releases that golden.json names.
"""

import base64
import json
import os
import shutil

import numpy as np
import peft
import tokenizers
import torch
import transformers
from tokenizers import Regex, decoders, models, pre_tokenizers, processors, trainers
from transformers import BloomConfig, BloomForCausalLM, PreTrainedTokenizerFast

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "language")
NEW_TOKENS = 10
EOS = 3

PROMPTS = {
    "tweet": "Tweet text : Every day is a new binning, filled with opionpieing and hope Label : ",
    "short": "Hi",
    "empty": "",
    "one": "a",
    "cjk": "今天天气很好，我们去公园吧。",
    "emoji": "I love it 😀🎉 so much!!",
    "long": "Tweet text : " + "the quick brown fox jumps over the lazy dog, again and again. " * 4 + " Label : ",
}

CORPUS = [
    "Tweet text : I have no water and the bill is current and paid. Can you do something about this? Label : complaint",
    "Tweet text : Every day is a new beginning, filled with opportunity and hope Label : no complaint",
    "the quick brown fox jumps over the lazy dog, again and again.",
    "今天天气很好，我们去公园吧。",
    "I love it 😀🎉 so much!! thank you",
] * 20


def tokenizer():
    """BLOOM's pipeline over 320 tokens."""
    bpe = tokenizers.Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(r" ?[^(\s|[.,!?…。，、।۔،])]+"), behavior="isolated")
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=False)
    bpe.pre_tokenizer = pre_tokenizers.Sequence([split, level])
    bpe.decoder = decoders.ByteLevel()
    bpe.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<unk>", "<s>", "</s>", "<pad>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(CORPUS, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def disturb(module, generator):
    """Parameters that a freshly made model has at 0 or 1, at random places instead."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if "norm" in name or ".ln_" in name or name.startswith("ln_"):
                centre = 1.0 if name.endswith("weight") else 0.0
                parameter.copy_(centre + 0.1 * torch.randn(parameter.shape, generator=generator))
            elif name.endswith("bias"):
                parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
            else:
                parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))


def floats(values):
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f4").tobytes()).decode()


def virtual_tokens(model):
    """Whether the model puts vectors of its own before every text."""
    kinds = {peft.PeftType.PROMPT_TUNING, peft.PeftType.P_TUNING}
    return isinstance(model, peft.PeftModel) and model.active_peft_config.peft_type in kinds


def greedy(model, ids):
    """The ids that follow, and the scores of the first: the whole text through the model for each.

    Not by generate(): with these releases it forgets the prefix of prefix tuning.
    """
    new, first = [], None
    while len(new) < NEW_TOKENS and EOS not in new:
        text = torch.tensor([ids + new], dtype=torch.long).reshape(1, -1)
        with torch.no_grad():
            logits = model(input_ids=text, attention_mask=torch.ones_like(text), use_cache=False).logits[0, -1]
        first = logits if first is None else first
        new.append(int(logits.argmax()))
    return new, first


def answers(model, tok):
    """What a model says to each prompt: greedy, alone."""
    said = {}
    for name, prompt in PROMPTS.items():
        ids = tok(prompt)["input_ids"]
        # An empty prompt is only what the adapter puts before it, so it needs one that does.
        if not ids and not virtual_tokens(model):
            continue
        new, logits = greedy(model, ids)
        said[name] = {
            "ids": ids,
            "generated": new,
            "logits": floats(logits.numpy()),
            "text": tok.decode(ids + new, skip_special_tokens=True),
        }
    return said


def adapter(kind, base):
    """An adapter of this kind over a fresh copy of the base."""
    task = peft.TaskType.CAUSAL_LM
    if kind == "prompt-tuning":
        config = peft.PromptTuningConfig(task_type=task, num_virtual_tokens=8, base_model_name_or_path="base")
    elif kind == "one-virtual-token":
        config = peft.PromptTuningConfig(task_type=task, num_virtual_tokens=1, base_model_name_or_path="base")
    elif kind == "p-tuning":
        config = peft.PromptEncoderConfig(
            task_type=task, num_virtual_tokens=6, encoder_hidden_size=32, base_model_name_or_path="base"
        )
    elif kind == "prefix-tuning":
        config = peft.PrefixTuningConfig(task_type=task, num_virtual_tokens=5, base_model_name_or_path="base")
    else:
        config = peft.LoraConfig(
            task_type=task, r=4, lora_alpha=6, target_modules=["query_key_value", "dense_4h_to_h"],
            base_model_name_or_path="base",
        )
    model = peft.get_peft_model(base, config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                scale = 0.3 if "lora" in name else 0.5
                parameter.copy_(scale * torch.randn(parameter.shape))
    return model.eval()


def base_model(config):
    torch.manual_seed(7)
    model = BloomForCausalLM(config)
    disturb(model.transformer, torch.Generator().manual_seed(11))
    model.tie_weights()
    return model.eval()


def main():
    shutil.rmtree(HERE, ignore_errors=True)
    os.makedirs(HERE)
    tok = tokenizer()
    config = BloomConfig(
        vocab_size=320, hidden_size=48, n_layer=3, n_head=6, bos_token_id=1, eos_token_id=2, pad_token_id=3,
        unk_token_id=0, hidden_dropout=0.0, attention_dropout=0.0, seq_length=256,
    )
    base = base_model(config)
    base.save_pretrained(os.path.join(HERE, "base"))
    tok.save_pretrained(os.path.join(HERE, "base"))
    golden = {
        "made_with": {
            "torch": torch.__version__, "transformers": transformers.__version__, "peft": peft.__version__,
            "tokenizers": tokenizers.__version__,
        },
        "eos_token_id": EOS,
        "max_new_tokens": NEW_TOKENS,
        "models": {"base": answers(base, tok)},
    }
    for kind in ["prompt-tuning", "one-virtual-token", "p-tuning", "prefix-tuning", "lora"]:
        print(kind)
        model = adapter(kind, base_model(config))
        folder = os.path.join(HERE, kind)
        # The published adapters of this kind of example are of torch's own format.
        model.save_pretrained(folder, safe_serialization=kind != "one-virtual-token")
        for extra in ["README.md"]:
            if os.path.exists(os.path.join(folder, extra)):
                os.remove(os.path.join(folder, extra))
        golden["models"][kind] = answers(model, tok)
    with open(os.path.join(HERE, "golden.json"), "w", encoding="utf-8") as file:
        json.dump(golden, file, ensure_ascii=False, indent=1, sort_keys=True)
        file.write("\n")
    variants(base)


def variants(base):
    """The same weights as other files hold them: torch's format, several files, no prefix, old names, half floats."""
    state = base.state_dict()
    half = {name: value.to(torch.float16).contiguous() for name, value in state.items() if name != "lm_head.weight"}
    from safetensors.torch import save_file

    folder = os.path.join(HERE, "variants")
    os.makedirs(folder, exist_ok=True)
    bare = {name.removeprefix("transformer."): value for name, value in half.items()}
    torch.save(bare, os.path.join(folder, "pytorch_model.bin"))
    names = sorted(half)
    middle = len(names) // 2
    parts = {"model-00001-of-00002.safetensors": names[:middle], "model-00002-of-00002.safetensors": names[middle:]}
    weight_map = {}
    for file, part in parts.items():
        save_file({name: half[name] for name in part}, os.path.join(folder, file))
        weight_map.update({name: file for name in part})
    with open(os.path.join(folder, "model.safetensors.index.json"), "w") as file:
        json.dump({"metadata": {}, "weight_map": weight_map}, file, indent=1)
    # As bloomz-560m's config.json spells it.
    old = {
        "architectures": ["BloomForCausalLM"], "model_type": "bloom", "n_embed": 48, "num_attention_heads": 6,
        "n_layer": 3, "seq_length": 256, "vocab_size": 320, "unk_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
        "pad_token_id": 3, "layer_norm_epsilon": 1e-5, "apply_residual_connection_post_layernorm": False,
        "attention_softmax_in_fp32": True, "bias_dropout_fusion": True, "masked_softmax_fusion": True,
        "offset_alibi": 100, "pretraining_tp": 1, "slow_but_exact": False, "skip_bias_add": True,
        "skip_bias_add_qkv": False, "hidden_dropout": 0.0, "attention_dropout": 0.0,
    }
    with open(os.path.join(folder, "config.json"), "w") as file:
        json.dump(old, file, indent=1)


if __name__ == "__main__":
    main()
